"""The session's end of a renderer in another process: goes on with another one where that is lost.

What it takes to go on is kept here: the place in the stream with the end of its sound, and of the speech under way the sound whose frames
were not encoded yet. A renderer that takes over hears that sound again and draws those frames anew.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from core.errors import BusyError, EngineUnavailable
from core.media.segments import PREROLL, Segment, StreamPlace
from core.request import Controls
from core.streaming.live_renderer import LiveRenderer, RendererFacts
from core.streaming.outputs import LiveOptions
from core.streaming.render_link import RendererLost, RenderLink
from core.types import FPS, SAMPLES_PER_FRAME, Frame, Phone, Samples

OPEN_S = 60.0
"""How long a renderer may take to load what it needs of a person."""
ATTEMPTS = 8
"""Renderers that are tried one after the other."""
BETWEEN_S = 0.1
MOST_LOST = 3
"""Renderers that a session may lose without having shown a frame of them: it may be what ends them."""


@dataclass(frozen=True, eq=False)
class Opening:
    """What is asked of the next renderer. renderer: its number at the link. attempt: from 0, another one is to be tried. before: what the
    first one told, place: in its stream, controls: as they are by now; None: as the session was asked for.
    """

    renderer: int
    attempt: int
    before: RendererFacts | None
    place: StreamPlace | None
    controls: Controls | None


class RendererSource(Protocol):
    def begin(self, opening: Opening) -> None:
        """Has somebody render by the link. Does not wait."""


class RemoteRenderer(LiveRenderer):
    """source, link: where renderers come from, and by what they are reached. Opens one at once, and raises what it raises; BusyError where
    all are busy, EngineUnavailable where there is none.
    """

    def __init__(self, source: RendererSource, link: RenderLink, options: LiveOptions) -> None:
        self._source, self._link = source, link
        self._segments = options.output == "segments"
        self._samples = options.sound_rate_hz // FPS
        self._before: RendererFacts | None = None
        self._controls: Controls | None = None
        self._due_in_s = 0.0
        self._named = 0
        self._drawn: deque[tuple[int, bool]] = deque()
        """Names of frames that wait to be encoded, and whether they speak in the utterance under way."""
        self._heard: deque[Samples] = deque()
        """Of the utterance under way: one for each frame, from the first of these on."""
        self._n_heard = self._n_spoken = 0
        """Samples of the utterance that were pushed, and frames of it that were drawn."""
        self._flushed = False
        self._idle_left = 0
        self._n_frames = self._index = self._sound_end = 0
        self._sound: deque[Samples] = deque(maxlen=-(-PREROLL // self._samples))
        self.n_lost = self._lost_in_vain = 0
        """Renderers that were lost so far; and of those since a frame was encoded last."""
        self.facts = self._before = self._opened()

    # ---- controls

    def check_controls(self, controls: Controls) -> None:
        until_s = time.monotonic() + OPEN_S
        while True:
            try:
                self._link.ask("check_controls", controls)
                return
            except RendererLost:  # whoever draws finds another one
                if time.monotonic() > until_s:
                    raise _nobody() from None
                time.sleep(BETWEEN_S)

    def set_controls(self, controls: Controls) -> bool:
        taken = bool(self._ask("set_controls", controls))
        if taken:
            self._controls = controls
        return taken

    def renew(self, controls: Controls) -> None:
        self._ask("renew", controls, self._due_in_s)
        self._controls = controls

    # ---- drawing

    @contextmanager
    def in_time(self, due_in_s: float) -> Iterator[None]:
        self._due_in_s = due_in_s
        yield

    def expect(self, phones: Sequence[Phone]) -> None:
        if phones:
            self._link.tell("expect", phones)

    def push(self, samples: Samples) -> Iterator[int]:
        self._link.tell("push", samples, not self._n_heard)
        self._idle_left = 0
        self._heard.append(samples)
        self._n_heard += len(samples)
        return self._spoken()

    def flush(self) -> Iterator[int]:
        self._link.tell("flush")
        self._flushed = True
        return self._spoken()

    def idle(self, n_frames: int) -> Iterator[int]:
        self._link.tell("idle", n_frames)
        self._idle_left = n_frames
        while self._idle_left and (name := self._next(False)) is not None:
            self._idle_left -= 1
            yield name

    def interrupt(self) -> None:
        self._link.tell("interrupt")
        self._idle_left = 0
        self._end_utterance()

    def close(self) -> None:
        self._link.close()

    # ---- what becomes of frames

    def picture(self, shown: int) -> Frame:
        return self._taken(shown, "picture", shown)  # type: ignore[no-any-return]

    def jpeg(self, shown: int) -> bytes:
        return self._taken(shown, "jpeg", shown)  # type: ignore[no-any-return]

    def segment(self, frames: Sequence[tuple[int, Samples]], key: bool, final: bool = False) -> Segment:
        segment: Segment = self._ask("segment", frames, key, final)
        self._index, self._sound_end = segment.index, segment.sound_end
        for shown, sound in frames:
            self._settle(shown)
            self._n_frames += 1
            self._sound.append(sound)
        return segment

    def packet(self, shown: int, sound: Samples, key: bool) -> tuple[bytes, bytes]:
        return self._taken(shown, "packet", shown, sound, key)  # type: ignore[no-any-return]

    # ---- within

    def _taken(self, shown: int, name: str, *arguments: Any) -> Any:
        answer = self._ask(name, *arguments)
        self._settle(shown)
        return answer

    def _spoken(self) -> Iterator[int]:
        """Asks for a frame only where there may be one."""
        while self._flushed or self._n_heard >= (self._n_spoken + 1) * SAMPLES_PER_FRAME + self.facts.look_ahead_samples:
            name = self._next(True)
            if name is None:
                if self._flushed:
                    self._end_utterance()
                return
            self._n_spoken += 1
            yield name

    def _next(self, speaks: bool) -> int | None:
        self._named += 1
        name = self._named
        if not self._ask("next", name, self._due_in_s):
            return None
        self._drawn.append((name, speaks))
        return name

    def _settle(self, shown: int) -> None:
        """The frame is encoded, and those before it are never wanted."""
        self._lost_in_vain = 0
        while self._drawn and self._drawn[0][0] <= shown:
            _, speaks = self._drawn.popleft()
            if speaks and self._heard:
                self._heard.popleft()

    def _end_utterance(self) -> None:
        """What waits of it can be drawn again at rest only."""
        self._drawn = deque((name, False) for name, _ in self._drawn)
        self._heard.clear()
        self._n_heard = self._n_spoken = 0
        self._flushed = False

    def _ask(self, name: str, *arguments: Any) -> Any:
        while True:
            try:
                return self._link.ask(name, *arguments)
            except RendererLost:
                self._count_loss()
                self._go_on()

    def _go_on(self) -> None:
        """With another renderer, up to where the last one was."""
        while True:
            self._opened()
            try:
                self._draw_again()
                return
            except RendererLost:
                self._count_loss()

    def _count_loss(self) -> None:
        self.n_lost += 1
        self._lost_in_vain += 1
        if self._lost_in_vain > MOST_LOST:
            raise EngineUnavailable(
                f"{self._lost_in_vain} machines one after the other ended while they drew this.", "Try another photo or recording.",
                code="crashes",
            )  # fmt: skip

    def _draw_again(self) -> None:
        for name, speaks in self._drawn:
            if not speaks:
                self._link.tell("idle", 1)
                self._link.ask("next", name, self._due_in_s)
        for i, samples in enumerate(self._heard):
            self._link.tell("push", samples, i == 0)
        if self._flushed:
            self._link.tell("flush")
        for name, speaks in self._drawn:
            if speaks and not self._link.ask("next", name, self._due_in_s):
                raise EngineUnavailable("The speech under way cannot be drawn again.")
        if self._idle_left:
            self._link.tell("idle", self._idle_left)

    def _opened(self) -> RendererFacts:
        """One that has opened. Raises what the last one tried said where that is no loss."""
        refused: BusyError | None = None
        for attempt in range(ATTEMPTS):
            renderer = self._link.begin()
            self._source.begin(Opening(renderer, attempt, self._before, self._place(), self._controls))
            try:
                opened: RendererFacts = self._link.opened(OPEN_S)
                return opened
            except RendererLost:
                time.sleep(BETWEEN_S)
            except BusyError as error:
                refused = error
        raise refused or _nobody()

    def _place(self) -> StreamPlace | None:
        if self._before is None or not self._segments:
            return None
        before = np.concatenate(tuple(self._sound))[None] if self._sound else np.zeros((1, 0), np.float32)
        return StreamPlace(self._index, self._n_frames, self._sound_end, before)


def _nobody() -> EngineUnavailable:
    return EngineUnavailable("No machine renders live sessions now.", "Try again in a minute.", code="no_renderer")
