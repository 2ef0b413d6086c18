"""A server whose live sessions are watched and spoken to over WebRTC."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from core.studio import Studio
from tests.support.serving import Serving, forget_people, form, serving


@pytest.fixture(scope="module", autouse=True)
def never_too_busy() -> Iterator[None]:
    """However much else the machine does, a live session is taken."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LATE_S", "SHARE", "OWN_SHARE"):
            patch.setattr(f"core.streaming.load.{name}", math.inf)
        yield


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("server"), session_max_viewers=2, owner_max_live=4) as server:
        yield server
    forget_people(studio)


@pytest.fixture(scope="module")
def token(server: Serving) -> str:
    with server.client() as client:
        return str(client.post("/avatars", **form(audio=None)).json()["token"])
