"""What a live session has ready beside its frames: events, and the first piece of its stream."""

from __future__ import annotations

from collections import deque
from typing import Any

from core.streaming.live_clock import LiveClock
from core.streaming.live_renderer import RendererFacts
from core.streaming.outputs import EventKind, LiveEvent, LiveOptions, LiveOutput, LiveSegment
from core.types import FPS, SAMPLE_RATE_HZ
from core.visemes.frames import layout


class OutputQueue(deque[LiveOutput]):
    """Used with the session's lock held. generation: of what is made now; goes up with each interrupt."""

    def __init__(self, clock: LiveClock) -> None:
        super().__init__()
        self._clock = clock
        self.generation = 0

    def begin(self, facts: RendererFacts, options: LiveOptions, visemes: bool) -> None:
        """The first things of all."""
        about: dict[str, Any] = {"width": facts.width, "height": facts.height, "fps": FPS, "sound_rate_hz": options.sound_rate_hz}
        about["look_ahead_s"] = round(facts.look_ahead_samples / SAMPLE_RATE_HZ, 4)
        about["warnings"] = list(facts.warnings)
        if visemes:
            about["visemes"] = layout()
        if options.output == "segments":
            self.event("ready", {**about, "mime_type": facts.mime_type})
            self.append(LiveSegment(facts.initialisation, self.generation, False))
        else:
            self.event("ready", about)

    def event(self, kind: EventKind, data: dict[str, Any] | None = None, at: int | None = None) -> None:
        """at: the frame that it belongs to, the next one without it."""
        self.append(LiveEvent(kind, self.generation, (self._clock.made if at is None else at) / FPS, data or {}))

    def interrupt(self) -> None:
        """Begins a new generation, and says so. What was told beside frames is forgotten with them."""
        self.generation += 1
        if self and isinstance(last := self[-1], LiveEvent) and last.kind == "interrupted":
            self.pop()  # one is enough for a reader that is behind
        kept = [each for each in self if not (isinstance(each, LiveEvent) and each.kind in ("visemes", "word"))]
        self.clear()
        self.extend(kept)
        self.event("interrupted")
