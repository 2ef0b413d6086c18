"""From a studio to a live session."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.engines.capabilities import CAPABILITIES
from core.streaming.live import LiveSession
from core.streaming.outputs import LiveOptions
from core.types import DEFAULT, Avatar, Controls, Framing, RenderOptions, Source

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
    name, _ = studio.choose_engine(engine)
    if "online_mode" in CAPABILITIES[name] and options.online_mode is DEFAULT:
        options = dataclasses.replace(options, online_mode=True)  # the other policy waits for seconds of speech
    opened = studio.live(source, owner, engine, framing, controls, options)
    return LiveSession(opened.cast, opened.session, options, studio.scheduler.device_turn, live, clock)
