"""What servers of several folders share: an avatar, voices of the tests, and a machine on which no session is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.support.serving import Serving, form
from tests.support.speech_server import SpeechServer, speech_server


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
