"""app.py and app_optimized.py as processes of their own, and the videos they make."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.ports import free_port

CLIENT_MARKS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio_client"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:httpx"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the client leaves its sockets to the collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

START_S = 60.0


@dataclass
class Server:
    """A running app.py."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return bytes(answer.read())


def start_app(
    folder: Path, command: tuple[str, ...] = (str(ROOT / "app.py"),), host: str = "127.0.0.1", ready: bytes = b"is ready",
    port: int | None = None, told: bool = True, **environment: str | None,
) -> Server:
    """Starts app.py (or another way to it) and waits until it answers. ready: what it says then. port: None for a free one.

    told: host and port are options of the command line. environment: None takes a variable out.
    """
    if port is None:
        port = free_port()
    log = folder / "app.log"
    arguments = ("--host", host, "--port", str(port)) if told else ()
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TALKING_HEAD_OUTPUT_DIR": str(folder / "out"),
                 "TALKING_HEAD_CACHE_DIR": str(folder / "cache"), "TALKING_HEAD_PAGE_SIZE": "320", **environment}  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={name: value for name, value in variables.items() if value is not None},
        )
    server = Server(f"http://127.0.0.1:{port}/", process, folder, log)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready in log.read_bytes():
            return server
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError(f"app.py did not start:\n{log.read_text()}")


def stop_app(server: Server) -> None:
    if server.process.poll() is None:
        server.process.terminate()
        try:
            server.process.wait(15)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def probe(path: str) -> tuple[int, int, int, float]:
    """Width, height, frames and seconds of an mp4."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        return stream.width, stream.height, frames, float((container.duration or 0) / av.time_base)
