"""A real server on the loopback that speaks OpenAI's protocol for transcriptions, and fails in the ways such servers fail."""

from __future__ import annotations

import email
import email.policy
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import soundfile

from tests.support.openai_server import KEY as KEY
from tests.support.openai_server import OpenAIHandler, OpenAIServer, serving_openai

WORDS = "Good evening, Ada."


@dataclass
class RecognitionServer(OpenAIServer):
    """hears: what it answers with; those of ERRORS are errors; "dropping" breaks off, "wordless" sends no text, "endless" never stops,
    "stalling" sends nothing until `go_on` is set, and then no times of words, "waiting" WORDS with their times. requests: the fields of the
    form, and `samples` and `rate_hz` of the sound.
    """

    hears: str = WORDS


class _Handler(OpenAIHandler):
    server_of_tests: RecognitionServer

    def body_of(self, data: bytes) -> dict[str, Any]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + data, policy=email.policy.HTTP)
        fields: dict[str, Any] = {}
        for part in form.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            if name == "file":
                fields["samples"], fields["rate_hz"] = soundfile.read(io.BytesIO(content), dtype="int16")
            else:
                fields[str(name)] = content.decode()
        return fields

    def wanted(self, body: dict[str, Any]) -> str:
        return self.server_of_tests.hears

    def respond(self, body: dict[str, Any]) -> None:
        match self.server_of_tests.hears:
            case "dropping":
                self.begin_stream("application/json", **{"Content-Length": "100"})
                self.wfile.write(b'{"te')
            case "wordless":
                self.answer(200, {"segments": []})
            case "endless":
                self.begin_stream("application/json")
                try:
                    while True:
                        self.wfile.write(bytes(1 << 16))
                except OSError:  # the client has enough
                    pass
            case "stalling":
                self.server_of_tests.go_on.wait(30)
                self.answer(200, {"text": WORDS})
            case words:
                if words == "waiting":
                    self.server_of_tests.go_on.wait(30)
                    words = WORDS
                timed = [{"word": word, "start": 0.2 * n, "end": 0.2 * n + 0.2} for n, word in enumerate(words.split(), 1)]
                self.answer(200, {"text": words, **({"words": timed} if body.get("response_format") == "verbose_json" else {})})


@contextmanager
def recognition_server() -> Iterator[RecognitionServer]:
    server = RecognitionServer()
    with serving_openai(server, _Handler):
        yield server
