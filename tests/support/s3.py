"""A real server with the protocol of S3 on loopback (moto, in .venv-moto), and a way to it that can be cut off or made slow."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.serving import wait_for

BUCKET = "talk"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "hidden-of-the-tests", "AWS_REGION": "us-east-1"}


class S3Server:
    """With an empty bucket. What it has is in its memory: it is the way to it that goes away in tests.

    checks: credentials, of which it knows none once the bucket is made.
    """


    def __init__(self, folder: Path, checks: bool = False) -> None:
        self._checks = checks
        self._program = ROOT / ".venv-moto" / "bin" / "moto_server"
        if not self._program.exists():
            pytest.fail("there is no .venv-moto: ./setup.sh test --all makes it")
        self.port = free_port()
        self._log = folder / "s3.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [str(self._program), "-H", "127.0.0.1", "-p", str(self.port)]
            strict = {"INITIAL_NO_AUTH_ACTION_COUNT": "1"} if self._checks else {}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **strict})
        wait_for(lambda: _is_open(self.port))
        if not self._checks:
            self.reset()
        else:
            httpx.put(f"{self.url}/{BUCKET}", trust_env=False).raise_for_status()

    def reset(self) -> None:
        """A new bucket with nothing in it."""
        httpx.post(f"{self.url}/moto-api/reset", trust_env=False).raise_for_status()
        httpx.put(f"{self.url}/{BUCKET}", trust_env=False).raise_for_status()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)


class Way:
    """A port that leads to another. While it is `cut`, nothing is taken, and what is under way ends. delay_s: before each piece goes on.
    late_s: before each answer comes back.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = free_port()
        self.delay_s = self.late_s = 0.0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server: socket.socket | None = None
        self.mend()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def mend(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        assert self._server is not None
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                here, _ = server.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            with self._lock:
                self._open |= {here, there}
            asked = threading.Event()
            for one, other, asks in ((here, there, True), (there, here, False)):
                threading.Thread(target=self._carry, args=(one, other, asks, asked), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, asks: bool, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                if asks:
                    asked.set()
                    time.sleep(self.delay_s)
                elif asked.is_set():
                    asked.clear()
                    time.sleep(self.late_s)
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {one}
        one.close()


@contextmanager
def way_to(server: S3Server) -> Iterator[Way]:
    way = Way(server.port)
    try:
        yield way
    finally:
        way.cut()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
