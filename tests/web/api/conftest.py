"""What tests of servers share: a server and its client, an avatar, voices of the tests, and a machine on which no session is refused."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.engines.lite import LiteSession
from core.studio import Studio
from tests.support.serving import Serving, forget_people, form, serving
from tests.support.speech_server import SpeechServer, speech_server


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With the usual settings, where a file or folder of tests has none of its own."""
    with serving(studio, tmp_path_factory.mktemp("server")) as server:
        yield server
    forget_people(studio)


@pytest.fixture
def client(server: Serving) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def token(server: Serving) -> Iterator[str]:
    """Of an avatar of the first key's."""
    with server.client() as client:
        token = client.post("/avatars", **form(audio=None)).json()["token"]
        yield token
        client.delete(f"/avatars/{token}")


@pytest.fixture(scope="module")
def voices() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


@pytest.fixture
def never_too_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much else the machine does, a live session is taken."""
    for name in ("LATE_S", "SHARE", "OWN_SHARE"):
        monkeypatch.setattr(f"core.streaming.load.{name}", math.inf)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Frames come slowly, until the event is set."""
    fast = threading.Event()
    draw = LiteSession._drawn

    def slow(session: LiteSession, row: Any, controls: Any) -> object:
        fast.wait(0.2)
        return draw(session, row, controls)

    monkeypatch.setattr(LiteSession, "_drawn", slow)
    yield fast
    fast.set()
