"""The three programs that show pages, each in a process of its own that writes down what it connects to."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.paths import ROOT

AUDITED = str(ROOT / "tests" / "support" / "audited.py")
PROGRAMS = {"app.py": b"is ready", "app_optimized.py": b"is ready", "api_server.py": b"answers at"}
PATIENCE_S = 60.0


@dataclass
class Audited:
    """A running program. record: what it connected to."""

    server: Server
    record: Path

    @property
    def outputs(self) -> Path:
        return self.server.folder / "out" / "videos"

    def connections(self) -> str:
        return self.record.read_text()

    def client(self, visitor: str | None = None, **options: Any) -> httpx.Client:
        """visitor: 48 hexadecimal digits of a browser's cookie; None for who has none."""
        headers = {"Cookie": f"talking_head_visitor={visitor}"} if visitor else {}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=PATIENCE_S, trust_env=False, **options)


def start(folder: Path, program: str, host: str = "127.0.0.1", **environment: str) -> Audited:
    record = folder / "connections"
    environment = {"TALKING_HEAD_REQUESTS_PER_MINUTE": "100000", "TALKING_HEAD_JOBS_PER_MINUTE": "100000", **environment}
    server = start_app(folder, (AUDITED, str(record), str(ROOT / program)), host, ready=PROGRAMS[program], **environment)
    audited = Audited(server, record)
    with audited.client() as client:
        deadline = time.monotonic() + PATIENCE_S
        while client.get("config").status_code != 200:  # the page of the server is made when it answers already
            assert time.monotonic() < deadline, server.log.read_text()
            time.sleep(0.2)
    return audited


@pytest.fixture(scope="package", params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    audited = start(tmp_path_factory.mktemp("audited"), request.param)
    yield audited
    stop_app(audited.server)


@pytest.fixture
def visitor() -> str:
    return secrets.token_hex(24)
