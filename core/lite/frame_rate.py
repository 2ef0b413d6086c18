"""The rows of the mouth, which come 25 a second, at the rate of a video's frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil, floor

import numpy as np

from core.types import FPS, SAMPLE_RATE_HZ, Samples


class RowsAtRate:
    """One utterance: rows in, in between them rows for frames at `fps` out, of which it has ceil(samples * fps / 16000). At 25 the same."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self.reset()

    def reset(self) -> None:
        """Begins a new utterance."""
        self._samples = self._taken = self._given = 0
        self._before: Samples | None = None
        self._last: Samples | None = None

    def push(self, rows: Iterable[Samples], n_samples: int) -> Iterator[Samples]:
        """rows: those that are certain since the last push. n_samples: that were heard for them."""
        self._samples += n_samples
        for row in rows:
            self._before, self._last = self._last, row
            self._taken += 1
            while self._at() <= self._taken - 1:
                yield self._next()

    def flush(self, rows: Iterable[Samples]) -> Iterator[Samples]:
        """The rest of the utterance, whose last row stays until its end."""
        yield from self.push(rows, 0)
        total = ceil(self._samples * self._fps / SAMPLE_RATE_HZ)
        while self._given < total and self._last is not None:
            yield self._next()
        self.reset()

    def _at(self) -> float:
        """Place of the next frame among the rows."""
        return self._given * FPS / self._fps

    def _next(self) -> Samples:
        """Between the last two rows: those before were needed by earlier frames only."""
        at = self._at()
        self._given += 1
        if self._last is None:
            raise RuntimeError("there is no row yet")
        if self._before is None or at >= self._taken - 1:
            return self._last
        share = np.float32(at - floor(at))
        return self._before + (self._last - self._before) * share
