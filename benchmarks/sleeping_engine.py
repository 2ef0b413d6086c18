"""An engine that takes its time without using the processor, for measurements of more render replicas than a machine has cores."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from core.engines.base import FrameCost, Registration, Session
from core.engines.lite import LiteEngine
from core.request import Controls, RenderOptions
from core.types import FPS, SAMPLE_RATE_HZ, Frame, Samples

FRAME_S = "SCALE_FRAME_S"
"""Environment variable: seconds that a frame takes."""


class SleepingSession(Session):
    """Shows one frame of another session all the time. frame_s: seconds that each takes, with the device held."""

    def __init__(self, shown: Session, frame_s: float) -> None:
        self._frame = next(shown.idle(1))
        self._frame_s, self._heard, self._given = frame_s, 0, 0
        self.height, self.width = self._frame.shape[:2]
        self.warnings, self.face_box = shown.warnings, shown.face_box

    def push(self, samples: Samples) -> Iterator[Frame]:
        self._heard += len(samples)
        yield from self._frames(self._heard * FPS // SAMPLE_RATE_HZ - self._given)

    def flush(self) -> Iterator[Frame]:
        yield from self._frames(-(-self._heard * FPS // SAMPLE_RATE_HZ) - self._given)
        self.interrupt()

    def idle(self, n_frames: int) -> Iterator[Frame]:
        for _ in range(n_frames):
            time.sleep(self._frame_s)
            yield self._frame.copy()

    def interrupt(self) -> None:
        self._heard = self._given = 0

    def _frames(self, n_frames: int) -> Iterator[Frame]:
        for frame in self.idle(int(n_frames)):
            self._given += 1
            yield frame


class SleepingEngine(LiteEngine):
    """Finds and keeps faces as the lite engine does, and draws nothing."""

    def frame_cost(self, registration: Registration, options: RenderOptions) -> FrameCost:
        frame_s = float(os.environ[FRAME_S])
        return FrameCost(frame_s, frame_s)

    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> SleepingSession:  # type: ignore[override]
        return SleepingSession(super().session(registration, controls, options), float(os.environ[FRAME_S]))
