"""From a studio to a live session."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.streaming.live import LiveSession
from core.streaming.outputs import LiveOptions
from core.types import Avatar, Controls, Framing, RenderOptions, Source

if TYPE_CHECKING:
    from core.studio import Studio


def open_live(
    studio: Studio,
    source: Source | Avatar,
    owner: str,
    *,
    engine: str = "auto",
    framing: Framing = Framing(),  # noqa: B008 - frozen
    controls: Controls = Controls(),  # noqa: B008
    options: RenderOptions = RenderOptions(),  # noqa: B008
    live: LiveOptions | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> LiveSession:
    """A live session on a photo, video or avatar. Loads the engine and registers the person where that is not done yet, which may take
    long, on the calling thread. clock: as in LiveSession. Raises what `Studio.live` raises.
    """
    opened = studio.live(source, owner, engine, framing, controls, options)
    return LiveSession(opened.cast, opened.session, opened.options, studio.scheduler.device_turn, live, clock)
