"""What is heard of an utterance, a row a frame: the mouth, and how far the voice rises. A recording that is foreseen is heard ahead."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from core.lite.mouth import MouthTracker
from core.lite.pitch import PitchTracker
from core.lite.whole_mouth import ears
from core.types import Phone

F32 = NDArray[np.float32]

RISE = 4
"""Column of a row that follows those of `core.lite.mouth`: how far the voice is above its usual pitch, as in `core.lite.pitch`."""


class _Trackers:
    """Of one utterance; what a thread still hears with them goes nowhere once they are replaced."""

    def __init__(self) -> None:
        self.mouth, self.pitch = MouthTracker(), PitchTracker()

    def push(self, samples: F32) -> F32:
        return self._with_pitch(self.mouth.push(samples), samples)

    def flush(self) -> F32:
        return self._with_pitch(self.mouth.flush(), np.zeros(0, np.float32))

    def _with_pitch(self, rows: F32, samples: F32) -> F32:
        """rows: (n, 4), the next ones of the mouth; samples: heard since the last."""
        return np.column_stack((rows, self.pitch.push(samples, len(rows))))


class Hearing:
    """One utterance at a time, however it is cut into pushes. Rows are (n, 5) float32.

    piece: samples of a foreseen recording that are heard at a time. The first piece is heard when its rows are asked for, each other one on
    a thread while those of the piece before are drawn; so rows come up to a piece before their sound is pushed.
    """

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self.reset()

    def reset(self) -> None:
        """Forgets everything: the next push starts a new utterance."""
        self._trackers = _Trackers()
        self._foreseen: F32 | None = None
        self._n_pushed = self._n_heard = 0
        self._ahead: Future[F32] | None = None

    def expect(self, phones: Sequence[Phone]) -> None:
        """As `core.engines.base.Session.expect`."""
        self._trackers.mouth.expect(phones)

    def foresee(self, samples: F32) -> None:
        """As `core.engines.base.Session.foresee`."""
        self._trackers.mouth.foresee(samples)
        self._foreseen = samples

    def push(self, samples: F32) -> F32:
        """samples: (n,) float32, mono, 16 kHz. Returns the rows that are certain now."""
        if self._foreseen is None:
            return self._trackers.push(samples)
        self._n_pushed += len(samples)
        rows = [np.zeros((0, RISE + 1), np.float32)]
        while self._n_heard < min(self._n_pushed, len(self._foreseen)):
            rows.append(self._next_piece(self._foreseen))
        return np.concatenate(rows)

    def flush(self) -> F32:
        """The rows that are left of the utterance; then starts anew."""
        rows = self._trackers.flush()
        self.reset()
        return rows

    def _next_piece(self, foreseen: F32) -> F32:
        ahead, self._ahead = self._ahead, None
        piece = foreseen[self._n_heard : self._n_heard + self._piece]
        # It can be cancelled where it has not begun, as behind the pieces of others.
        rows = self._trackers.push(piece) if ahead is None or ahead.cancel() else ahead.result()
        self._n_heard += len(piece)
        if self._n_heard < len(foreseen):
            self._ahead = ears().submit(self._trackers.push, foreseen[self._n_heard : self._n_heard + self._piece])
        return rows
