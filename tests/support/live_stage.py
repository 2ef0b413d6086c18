"""A live session on the fake engine by a clock that stands still, and noise to speak with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.request import Controls, RenderOptions
from core.streaming import LiveEvent, LiveFrame, LiveOptions, LiveOutput, LiveSegment, LiveSession
from core.streaming.engine_renderer import EngineRenderer
from core.streaming.load import FrameMeter
from tests.support.streams import Clock, FakeEngine, FakeSession, free_turn, prepared_run

FRAMES = LiveOptions(output="frames", lead_s=0)


class Stage:
    """A live session on the fake engine, and everything it gave."""

    def __init__(self, options: LiveOptions = FRAMES, label: bool = False, visemes: bool = False) -> None:
        self.engine, self.clock = FakeEngine(), Clock()
        self.session = FakeSession(Controls())
        render = RenderOptions(label=label, visemes=visemes)
        self.renderer = fake_renderer(self.engine, self.session, render, options)
        self.live = LiveSession(self.renderer, options, render.visemes, self.clock)
        self.out: list[LiveOutput] = []

    def run(self, seconds: float, each: Callable[[], Any] = lambda: None, step_s: float = 0.02) -> None:
        """Moves the clock, takes what is due, and calls `each` after each step."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.take()
            each()

    def take(self) -> None:
        while (output := self.live.next_output()) is not None:
            self.out.append(output)

    @property
    def frames(self) -> list[LiveFrame]:
        return [output for output in self.out if isinstance(output, LiveFrame)]

    @property
    def spoken(self) -> list[LiveFrame]:
        return [frame for frame in self.frames if frame.speaking]

    @property
    def events(self) -> list[str]:
        return [output.kind for output in self.out if isinstance(output, LiveEvent)]

    @property
    def data(self) -> bytes:
        return b"".join(output.segment.data for output in self.out if isinstance(output, LiveSegment))


def fake_renderer(engine: FakeEngine, session: FakeSession, render: RenderOptions, options: LiveOptions) -> EngineRenderer:
    return EngineRenderer(prepared_run(engine, render), session, render, free_turn, options, FrameMeter(None))


def fake_live(engine: FakeEngine, session: FakeSession, render: RenderOptions, options: LiveOptions) -> LiveSession:
    return LiveSession(fake_renderer(engine, session, render, options), options, render.visemes)


def rustle(seconds: float, rate_hz: int = 16_000, seed: int = 1) -> NDArray[np.int16]:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz) + 15)
    smooth = np.convolve(noise, np.hanning(16), "valid")
    return (3000 * smooth / smooth.std()).astype(np.int16)


def joined(frames: list[LiveFrame]) -> NDArray[np.float32]:
    return np.concatenate([frame.sound[0] for frame in frames])
