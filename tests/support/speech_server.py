"""A real server on the loopback that speaks OpenAI's protocol for speech, and fails in the ways such servers fail."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import soundfile

RATE_HZ = 24_000
KEY = "a key of the tests"


def tone(text: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What the server says: 20 ms of a tone for each character."""
    times = np.arange(len(text) * RATE_HZ // 50) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * 220 * times)).astype(np.int16)


@dataclass
class SpeechServer:
    """The voice asked for says what happens: "alloy" speaks; "busy", "broken", "strange" answer with an error; "dropping" breaks off in
    the middle; "stalling" says nothing more after the beginning until `go_on` is set; "empty" sends no sound; "endless" never stops.
    """

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


def _handler(server: SpeechServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append({**body, "path": self.path, "authorization": self.headers.get("Authorization")})
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                return self.fail(401, {"error": {"message": "Incorrect API key"}})
            match body["voice"]:
                case "busy":
                    return self.fail(429, {"error": {"message": "Rate limit"}}, {"Retry-After": "7"})
                case "broken":
                    return self.fail(500, {"error": {"message": "The server\nhad an error."}})
                case "strange":
                    return self.fail(400, ["no", "error", "object"])
            self.close_connection = True  # the length of a stream is not known to its sender
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            if body["voice"] == "dropping":
                self.send_header("Content-Length", "1000000")
            self.send_header("Connection", "close")
            self.end_headers()
            self.speak(body)
            return None

        def speak(self, body: dict[str, Any]) -> None:
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
                            server.go_on.wait(30)
                    case _:
                        self.wfile.write(data)
            except OSError:  # the client has heard enough
                pass

        def fail(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def speech_server() -> Iterator[SpeechServer]:
    server = SpeechServer()
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
