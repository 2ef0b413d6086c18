"""Engines and voices for a command line: what is missing is fetched, with a line on the terminal that shows how far."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import OptionError
from core.settings import Settings
from manager.progress import TerminalBar

if TYPE_CHECKING:
    from core.engines.base import Engine
    from core.speech_synthesis.speaker import Speaker


def ditto_on_terminal(
    settings: Settings,
    cancel: threading.Event,
    device: str | None = None,
    *,
    data_root: Path | None = None,
    cfg_pkl: Path | None = None,
    **more: Any,
) -> Callable[[], Engine]:
    """How the studio gets its Ditto engine. Parameters as `manager.ditto.make_ditto` has them. Raises OptionError."""
    if data_root is not None and cfg_pkl is None:
        raise OptionError("--data_root is given without --cfg_pkl.", "The configuration says which file is which network.")

    def make() -> Engine:
        from manager.ditto import make_replicas

        bar = TerminalBar()
        try:
            return make_replicas(settings, bar, cancel, device=device, data_root=data_root, cfg_pkl=cfg_pkl, **more)
        finally:
            bar.end()

    return make


@contextmanager
def speaker_on_terminal(settings: Settings) -> Iterator[Speaker]:
    """The voices; what they speak is not kept: a command line leaves nothing behind but the video."""
    from core.speech_synthesis.speaker import Speaker
    from manager.kokoro import offer_kokoro

    bar = TerminalBar()
    speaker = Speaker(settings, None, offer_kokoro(bar))
    try:
        yield speaker
    finally:
        bar.end()
        speaker.close()
