"""A recording that is still being made, such as a text that is being spoken: it is heard and seen while the rest of it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator

import numpy as np
import soxr

from core.errors import AudioError, Cancelled
from core.media.decode import Block
from core.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Phone, Samples, Word

AHEAD_S = 60.0
"""So much is made before whoever hears it has come so far."""


class ComingAudio:
    """As `core.types.AudioStream`. One engine hears it (`steps`), and one file takes its sound (`sound`), each once and from the start.

    pieces: makes the pieces, (n,) float32 of `rate_hz`, -1..1, on a thread of its own that `start` begins; once its event is set it ends
    soon, as by Cancelled. What it raises is raised to who hears, after what was made before. What both have passed is dropped.
    """

    channels = 1
    warnings: tuple[str, ...] = ()

    def __init__(self, rate_hz: int, pieces: Callable[[threading.Event], Iterator[Samples]]) -> None:
        self.rate_hz = rate_hz
        self.words: tuple[Word, ...] = ()
        self.phones: tuple[Phone, ...] = ()
        """Both are set by who makes the pieces, before the piece that they are in."""
        self.n_frames: int | None = None
        """Known before the last step is given out."""
        self._make = pieces
        self._cancel = threading.Event()
        self._changed = threading.Condition()  # guards these
        self._pieces: dict[int, Samples] = {}
        self._n_made = 0
        self._n_taken = [0, 0]
        """Pieces, by each of the two."""
        self._made_s = self._heard_s = 0.0
        self._ended = self._started = False
        self._error: Exception | None = None
        self._n_samples = 0

    @property
    def duration_s(self) -> float:
        """Of what was heard so far."""
        return self._n_samples / SAMPLE_RATE_HZ

    def start(self) -> None:
        """Begins to make it; does nothing the second time."""
        with self._changed:
            if self._started or self._cancel.is_set():
                return
            self._started = True
        threading.Thread(target=self._run, name="coming audio", daemon=True).start()

    def close(self) -> None:
        """Ends it; who has not heard all of it meets Cancelled. Does not wait."""
        self._cancel.set()
        with self._changed:
            self._error = self._error or Cancelled("The speech was cancelled.", code="cancelled")
            self._ended = True
            self._pieces.clear()
            self._changed.notify_all()

    def steps(self, n_samples: int) -> Iterator[Samples]:
        """What an engine hears, at 16 kHz, n_samples at a time; the last step may be shorter. A step comes when the next one has begun."""
        waiting = np.zeros(0, np.float32)
        for samples in self._resampled():
            waiting = np.concatenate((waiting, samples))
            while len(waiting) > n_samples:
                self._n_samples += n_samples
                yield waiting[:n_samples]
                waiting = waiting[n_samples:]
        self._n_samples += len(waiting)
        if not self._n_samples:
            raise AudioError("The recording holds no sound (0 samples).", "Record it again.")
        self.n_frames = -(-self._n_samples // SAMPLES_PER_FRAME)
        yield waiting

    def sound(self) -> Generator[Block, None, None]:
        """The pieces as they come, (1, n)."""
        for samples in self._taken(1):
            yield samples[None]

    def _resampled(self) -> Iterator[Samples]:
        if self.rate_hz == SAMPLE_RATE_HZ:
            yield from self._taken(0)
            return
        resampler = soxr.ResampleStream(self.rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        for samples in self._taken(0):
            yield np.clip(resampler.resample_chunk(samples), -1.0, 1.0)  # resampling overshoots
        yield np.clip(resampler.resample_chunk(np.zeros(0, np.float32), last=True), -1.0, 1.0)

    def _taken(self, who: int) -> Iterator[Samples]:
        self.start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._n_taken[who] < self._n_made or self._ended)
                index = self._n_taken[who]
                if self._cancel.is_set() or index == self._n_made:
                    if self._error is not None:
                        raise self._error
                    return
                samples = self._pieces[index]
                self._n_taken[who] += 1
                if min(self._n_taken) > index:
                    del self._pieces[index]
                if who == 0:
                    self._heard_s += len(samples) / self.rate_hz
                self._changed.notify_all()
            yield samples

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for samples in self._make(self._cancel):
                self._put(samples)
        except Exception as caught:  # a defect as well: what was made so far must not be taken for the whole
            error = caught
        with self._changed:
            self._error, self._ended = self._error or error, True
            self._changed.notify_all()

    def _put(self, samples: Samples) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._made_s - self._heard_s < AHEAD_S or self._cancel.is_set())
            if self._cancel.is_set():
                raise Cancelled("The speech was cancelled.", code="cancelled")
            self._pieces[self._n_made] = samples
            self._n_made += 1
            self._made_s += len(samples) / self.rate_hz
            self._changed.notify_all()
