"""Who draws a live session over Ray: render replicas, asked by the session's own process, which loads nothing that draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from core.service.live_messages import LiveRequest
from core.streaming.remote_renderer import Opening


@dataclass(frozen=True, eq=False)
class LiveWork:
    """What a render replica is asked to draw. session: name of its actor."""

    session: str
    token: str
    owner: str
    request: LiveRequest
    opening: Opening


class Renderers(Protocol):
    """The render replicas. Pickled: it goes along to the actors."""

    def start(self, work: LiveWork) -> Callable[[], Any]:
        """Has one of them do `render_live(work)`, another one with each attempt where there are more. What is returned waits for its end,
        and raises where the replica is lost.
        """


class ServeRenderers:
    """Those behind a handle of Ray Serve, whose deployment has the method `render_live`, and routes by its `avatar`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def start(self, work: LiveWork) -> Callable[[], Any]:
        return self._handle.render_live.remote(work, avatar=work.token, attempt=work.opening.attempt).result  # type: ignore[no-any-return]
