"""A real server on the loopback that speaks OpenAI's protocol for speech, and fails in the ways such servers fail."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import soundfile

from tests.support.openai_server import KEY as KEY
from tests.support.openai_server import OpenAIHandler, OpenAIServer, serving_openai

RATE_HZ = 24_000


def tone(text: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What the server says: 20 ms of a tone for each character."""
    times = np.arange(len(text) * RATE_HZ // 50) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * 220 * times)).astype(np.int16)


class SpeechServer(OpenAIServer):
    """The voice asked for says what happens: "alloy" speaks; those of ERRORS answer with an error; "dropping" breaks off in the middle;
    "stalling" says nothing more after the beginning until `go_on` is set; "empty" sends no sound; "endless" never stops.
    """


class _Handler(OpenAIHandler):
    def wanted(self, body: dict[str, Any]) -> str:
        return str(body["voice"])

    def respond(self, body: dict[str, Any]) -> None:
        self.begin_stream("application/octet-stream", **({"Content-Length": "1000000"} if body["voice"] == "dropping" else {}))
        samples = tone(body["input"])
        data = samples.tobytes()
        if body["response_format"] != "pcm":
            file = io.BytesIO()
            soundfile.write(file, np.repeat(samples, 2), 2 * RATE_HZ, format=body["response_format"].upper())
            data = file.getvalue()
        try:
            match body["voice"]:
                case "empty":
                    return
                case "endless":
                    while True:
                        self.wfile.write(bytes(1 << 20))
                case "stalling" | "dropping":
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    if body["voice"] == "stalling":
                        self.server_of_tests.go_on.wait(30)
                case _:
                    self.wfile.write(data)
        except OSError:  # the client has heard enough
            pass


@contextmanager
def speech_server() -> Iterator[SpeechServer]:
    server = SpeechServer()
    with serving_openai(server, _Handler):
        yield server
