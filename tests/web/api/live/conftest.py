"""A server with few places for live sessions, and an avatar on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.studio import Studio
from tests.support.serving import Serving, forget_people, serving, wait_for


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("server"), max_live=3, owner_max_live=2) as server:
        yield server
    forget_people(studio)


@pytest.fixture(autouse=True)
def _no_session_is_left(server: Serving) -> Iterator[None]:
    yield
    for session in list(server.context.live._sessions.values()):
        server.context.live.end(session)
    wait_for(lambda: server.context.live.n_sessions == 0)
