"""What the lite engine's sessions have in common, of a photo as of a clip: sound → mouth rows → frames, rest, and controls that change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from core.engines.base import Session
from core.lite.frame_rate import RowsAtRate
from core.lite.hearing import RISE, Hearing
from core.lite.mouth import LOOK_AHEAD_SAMPLES
from core.lite.speaking import Speaking
from core.lite.transitions import closing, towards
from core.request import Controls
from core.stage_times import stage
from core.types import FPS, SAMPLES_PER_FRAME, Frame, Phone, Samples


class LiteMouthSession(Session):
    """A subclass draws. controls: verified. fps: of the frames."""

    look_ahead_samples = LOOK_AHEAD_SAMPLES
    push_frames = 2 * FPS  # is heard in half the time that ten pushes of a tenth take, and delays the first frame by 10 ms

    def __init__(self, controls: Controls, fps: float = FPS) -> None:
        self.fps = fps
        self._shown_controls = self._controls = controls
        self._row = np.zeros(RISE + 1, np.float32)
        self._hearing, self._rows = Hearing(self.push_frames * SAMPLES_PER_FRAME), RowsAtRate(fps)
        self._speaking = Speaking(fps)

    @abstractmethod
    def _drawn(self, row: Samples, controls: Controls) -> Frame:
        """The next frame, with the lips of a row as `core.lite.hearing` gives it."""

    def expect(self, phones: Sequence[Phone]) -> None:
        self._hearing.expect(phones)

    def foresee(self, samples: Samples) -> None:
        self._hearing.foresee(samples)

    def push(self, samples: Samples) -> Iterator[Frame]:
        with stage("mouth", 0):
            rows = list(self._rows.push(self._hearing.push(samples), len(samples)))
        return map(self._next, rows)

    def flush(self) -> Iterator[Frame]:
        with stage("mouth", 0):
            rows = list(self._rows.flush(self._hearing.flush()))
        return map(self._next, rows)

    def idle(self, n_frames: int) -> Iterator[Frame]:
        for _ in range(n_frames):
            yield self._next(closing(self._row))

    def interrupt(self) -> None:
        self._hearing.reset()
        self._rows.reset()

    def set_controls(self, controls: Controls) -> bool:
        self._controls = controls
        return True

    def _next(self, row: Samples) -> Frame:
        self._row = row
        self._shown_controls = towards(self._shown_controls, self._controls)
        return self._drawn(row, self._shown_controls)
