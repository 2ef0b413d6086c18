"""What the lite engine's sessions have in common, of a photo as of a clip: sound → mouth rows → frames, rest, and controls that change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from core.engines.base import Session
from core.lite.frame_rate import RowsAtRate
from core.lite.mouth import LOOK_AHEAD_SAMPLES, MouthTracker
from core.lite.pitch import PitchTracker
from core.lite.speaking import Speaking
from core.lite.transitions import closing, towards
from core.request import Controls
from core.stage_times import stage
from core.types import FPS, Frame, Phone, Samples

RISE = 4
"""Column of a row that follows those of `core.lite.mouth`: how far the voice is above its usual pitch, as in `core.lite.pitch`."""


class LiteMouthSession(Session):
    """A subclass draws. controls: verified. fps: of the frames."""

    look_ahead_samples = LOOK_AHEAD_SAMPLES
    push_frames = 2 * FPS  # is heard in half the time that ten pushes of a tenth take, and delays the first frame by 10 ms

    def __init__(self, controls: Controls, fps: float = FPS) -> None:
        self.fps = fps
        self._shown_controls = self._controls = controls
        self._row = np.zeros(RISE + 1, np.float32)
        self._mouth, self._pitch, self._rows = MouthTracker(), PitchTracker(), RowsAtRate(fps)
        self._speaking = Speaking(fps)

    @abstractmethod
    def _drawn(self, row: Samples, controls: Controls) -> Frame:
        """The next frame, with the lips of a row as `MouthTracker` gives it, and in its column RISE the rise of the voice, 0..1."""

    def expect(self, phones: Sequence[Phone]) -> None:
        self._mouth.expect(phones)

    def foresee(self, samples: Samples) -> None:
        self._mouth.foresee(samples)

    def push(self, samples: Samples) -> Iterator[Frame]:
        with stage("mouth", 0):
            rows = list(self._rows.push(self._with_pitch(self._mouth.push(samples), samples), len(samples)))
        return map(self._next, rows)

    def flush(self) -> Iterator[Frame]:
        with stage("mouth", 0):
            rows = list(self._rows.flush(self._with_pitch(self._mouth.flush(), np.zeros(0, np.float32))))
        self._mouth.reset()
        self._pitch.reset()
        return map(self._next, rows)

    def idle(self, n_frames: int) -> Iterator[Frame]:
        for _ in range(n_frames):
            yield self._next(closing(self._row))

    def interrupt(self) -> None:
        self._mouth.reset()
        self._pitch.reset()
        self._rows.reset()

    def set_controls(self, controls: Controls) -> bool:
        self._controls = controls
        return True

    def _with_pitch(self, rows: Samples, samples: Samples) -> Samples:
        """rows: (n, 4), the next ones of the mouth; samples: heard since the last. Returns (n, 5)."""
        return np.column_stack((rows, self._pitch.push(samples, len(rows))))

    def _next(self, row: Samples) -> Frame:
        self._row = row
        self._shown_controls = towards(self._shown_controls, self._controls)
        return self._drawn(row, self._shown_controls)
