"""A real server on the loopback that speaks OpenAI's protocol for chat, and fails in the ways such servers fail."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.openai_server import KEY as KEY
from tests.support.openai_server import OpenAIHandler, OpenAIServer, serving_openai

ANSWER = "I am Ada, the first of them. I was born in London. What else would you like to know?"

ANSWERS = {
    "markup": "<speak><break time='9s'/>Look, <b>markup</b> & more.</speak> The end.",
    "foreign": "Привет, меня зовут Ада. I say it in English.",
}


@dataclass
class ChatServer(OpenAIServer):
    """The last message says what happens: those of ERRORS and "redirect" are answered with an error; "dropping" breaks off in the middle,
    "error inside" with an error; "stalling" says nothing more after the first sentence until `go_on` is set; "silent" sends no
    text; "whole" does not stream; "endless" never stops, "long line" never ends a line; ANSWERS has markup and a foreign language.
    Anything else is answered with ANSWER, a word every `word_s`. hung_up: streams that the client left.
    """

    word_s: float = 0.005
    hung_up: int = 0


class _Handler(OpenAIHandler):
    server_of_tests: ChatServer

    def wanted(self, body: dict[str, Any]) -> str:
        return str(body["messages"][-1]["content"])

    def respond(self, body: dict[str, Any]) -> None:
        wanted = self.wanted(body)
        if wanted == "redirect":
            return self.answer(307, {}, {"Location": f"{self.server_of_tests.url}/elsewhere"})
        if wanted == "whole":
            return self.answer(200, {"choices": [{"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}]})
        self.begin_stream("text/event-stream")
        try:
            self.stream(wanted)
        except OSError:
            self.server_of_tests.hung_up += 1
        return None

    def stream(self, wanted: str) -> None:
        self.send({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        if wanted == "endless":
            while True:
                self.say("word " * 50)
        if wanted == "long line":
            while True:
                self.wfile.write(b"data: " + bytes(1 << 16))
        if wanted == "silent":
            return self.finish_stream()
        if wanted == "error inside":
            self.say("It begins. ")
            return self.send({"error": {"message": "Overloaded"}})
        words = ANSWERS.get(wanted, ANSWER).split(" ")
        for number, word in enumerate(words):
            time.sleep(self.server_of_tests.word_s)
            self.say(f"{word} " if number < len(words) - 1 else word)
            if wanted == "dropping" and number == 8:
                return None
            if wanted == "stalling" and number == 8:
                while not self.server_of_tests.go_on.wait(0.05):
                    self.wfile.write(b": keep-alive\n\n")
                    self.wfile.flush()
        return self.finish_stream()

    def say(self, text: str) -> None:
        self.send({"choices": [{"delta": {"content": text}, "finish_reason": None}]})

    def finish_stream(self) -> None:
        self.send({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self.send({"choices": [], "usage": {"total_tokens": 3}})
        self.wfile.write(b"data: [DONE]\n\n")

    def send(self, event: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\r\n\r\n")
        self.wfile.flush()


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    with serving_openai(server, _Handler):
        yield server
