"""A real server on the loopback that speaks OpenAI's protocol for chat, and fails in the ways such servers fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a secret key of the tests"
ANSWER = "I am Ada, the first of them. I was born in London. What else would you like to know?"

ANSWERS = {
    "markup": "<speak><break time='9s'/>Look, <b>markup</b> & more.</speak> The end.",
    "foreign": "Привет, меня зовут Ада. I say it in English.",
}


@dataclass
class ChatServer:
    """The last message says what happens: "busy", "broken", "strange", "redirect" answer with an error; "dropping" breaks off in the
    middle, "error inside" with an error; "stalling" says nothing more after the first sentence until `go_on` is set; "silent" sends no
    text; "whole" does not stream; "endless" never stops, "long line" never ends a line; ANSWERS has markup and a foreign language.
    Anything else is answered with ANSWER, a word every `word_s`. hung_up: streams that the client left.
    """

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    word_s: float = 0.005
    hung_up: int = 0


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append({**body, "path": self.path, "authorization": self.headers.get("Authorization")})
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                return self.fail(401, {"error": {"message": f"Incorrect API key {self.headers.get('Authorization')}"}})
            wanted = body["messages"][-1]["content"].rsplit("\n", 1)[-1]
            match wanted:
                case "busy":
                    return self.fail(429, {"error": {"message": "Rate limit"}}, {"Retry-After": "7"})
                case "broken":
                    return self.fail(500, {"error": {"message": "The server\nhad an error."}})
                case "strange":
                    return self.fail(400, ["no", "error", "object"])
                case "redirect":
                    return self.fail(307, {}, {"Location": f"{server.url}/elsewhere"})
                case "whole":
                    return self.fail(200, {"choices": [{"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}]})
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                self.stream(wanted)
            except OSError:
                server.hung_up += 1
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
                time.sleep(server.word_s)
                self.say(f"{word} " if number < len(words) - 1 else word)
                if wanted == "dropping" and number == 8:
                    return None
                if wanted == "stalling" and number == 8:
                    while not server.go_on.wait(0.05):
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

        def fail(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            http.shutdown()
            thread.join()
