"""What the servers of the tests that speak OpenAI's protocol share: the key, the record of requests, errors, and how they run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a secret key of the tests"
ERRORS: dict[str, tuple[int, Any, dict[str, str]]] = {
    "busy": (429, {"error": {"message": "Rate limit"}}, {"Retry-After": "7"}),
    "broken": (500, {"error": {"message": "The server\nhad an error."}}, {}),
    "strange": (400, ["no", "error", "object"], {}),
}
"""By what a request asks for: how it is answered."""


@dataclass
class OpenAIServer:
    """requests: as they came, with their path and Authorization. go_on: ends what stalls."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


class OpenAIHandler(BaseHTTPRequestHandler):
    """Of one request: `body_of` reads it, `wanted` says which of ERRORS answers it, `respond` answers it otherwise."""

    protocol_version = "HTTP/1.1"
    server_of_tests: OpenAIServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.body_of(self.rfile.read(int(self.headers["Content-Length"])))
        authorization = self.headers.get("Authorization")
        self.server_of_tests.requests.append({**body, "path": self.path, "authorization": authorization})
        if authorization != f"Bearer {KEY}":
            return self.answer(401, {"error": {"message": f"Incorrect API key {authorization}"}})
        if self.wanted(body) in ERRORS:
            return self.answer(*ERRORS[self.wanted(body)])
        return self.respond(body)

    def body_of(self, data: bytes) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(data)
        return body

    def wanted(self, body: dict[str, Any]) -> str:
        raise NotImplementedError

    def respond(self, body: dict[str, Any]) -> None:
        raise NotImplementedError

    def answer(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self, kind: str, **headers: str) -> None:
        """Of a length that is not known to its sender."""
        self.close_connection = True
        self.send_response(200)
        for name, value in {"Content-Type": kind, **headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving_openai(server: OpenAIServer, handler: type[OpenAIHandler]) -> Iterator[None]:
    """`server` is reached at its `url` until the block ends."""
    about = {"server_of_tests": server}
    with ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (handler,), about)) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.go_on.set()
            http.shutdown()
            thread.join()
