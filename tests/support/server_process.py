"""api_server.py as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.paths import ROOT
from tests.support.serving import KEY, wait_for

START_S = 60.0


@dataclass
class Process:
    """A running api_server.py."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1)

    def client(self, key: str = KEY) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key} if key else {}, timeout=START_S, trust_env=False)

    def ready(self) -> None:
        with self.client() as client:
            wait_for(lambda: client.get("/health").status_code == 200)

    def page_ready(self, key: str = KEY) -> None:
        """The page is made while the server already answers."""
        with self.client(key) as client:
            wait_for(lambda: client.get("/").status_code == 200)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(START_S)


@contextmanager
def running(folder: Path, *arguments: str, **environment: str) -> Iterator[Process]:
    log = folder / "server.log"
    folders = {"TALKING_HEAD_OUTPUT_DIR": str(folder / "out"), "TALKING_HEAD_CACHE_DIR": str(folder / "cache")}
    folders["TALKING_HEAD_PAGE_SIZE"] = "320"  # nothing is measured beside a test
    folders["TALKING_HEAD_REQUESTS_PER_MINUTE"] = "100000"  # a test that waits asks fifty times a second
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "api_server.py"), "--port", "0", *arguments],
            stdout=stream, stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, "TALKING_HEAD_API_KEYS": KEY, **folders, **environment},
        )  # fmt: skip
    try:
        wait_for(lambda: process.poll() is not None or b"answers at" in log.read_bytes())
        found = re.search(r"answers at (http://127\.0\.0\.1:\d+)/", log.read_text())
        assert found, log.read_text()
        yield Process(found[1], process, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
