"""Buffers the sound of one utterance as it arrives, and resamples it for the engine and for the video."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from core.errors import AudioError
from core.streaming.say import Say
from core.types import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Phone, Samples

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 96_000
_PIECE = 1024
"""Chunks shorter than this are joined."""
_FADE_S = 0.005
"""Where sound is cut off or comes back in the middle of a wave, it fades over so long: no click."""


def as_mono(chunk: bytes | NDArray[Any], rate_hz: int, most_s: float) -> Samples:
    """(n,) float32, -1..1.

    chunk: an even number of bytes of 16-bit little-endian samples, or (n,) int16 or float, of at most `most_s` seconds. Raises AudioError
    for anything else.
    """
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioError(f"The sound has {rate_hz} samples a second.", f"It must be {MIN_RATE_HZ} to {MAX_RATE_HZ}.")
    if isinstance(chunk, bytes):
        chunk = np.frombuffer(chunk, "<i2")
    if chunk.ndim != 1:
        raise AudioError(f"A chunk of sound has the shape {chunk.shape}.", "Send one channel.")
    if len(chunk) > most_s * rate_hz:
        raise AudioError(f"A chunk of sound lasts {len(chunk) / rate_hz:.1f} s.", f"Send at most {most_s:g} s at once.")
    if chunk.dtype == np.int16:
        return chunk.astype(np.float32) / np.float32(32768)
    if chunk.dtype.kind != "f":
        raise AudioError(f"A chunk of sound is of type {chunk.dtype}.", "Send 16-bit integers or floats.")
    return np.clip(np.nan_to_num(chunk.astype(np.float32)), -1.0, 1.0)


def fade_out(last: float, n: int, rate_hz: int) -> Samples:
    """n samples of silence, which the wave that was at `last` falls into."""
    out = np.zeros(n, np.float32)
    falling = min(n, max(1, round(_FADE_S * rate_hz)))
    out[:falling] = last * np.linspace(1, 0, falling, endpoint=False, dtype=np.float32)
    return out


class Flow:
    """Samples in at one end, out at the other."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def put(self, samples: Samples) -> None:
        self._n += len(samples)
        if self._pieces and len(self._pieces[-1]) + len(samples) <= _PIECE:  # single samples must not cost an array each
            self._pieces[-1] = np.concatenate((self._pieces[-1], samples))
        elif len(samples):
            self._pieces.append(samples)

    def take(self, n: int) -> Samples:
        """The next n samples, fewer where there are fewer."""
        taken, missing = [np.zeros(0, np.float32)], min(n, self._n)
        self._n -= missing
        while missing:
            piece = self._pieces.popleft()
            if len(piece) > missing:
                self._pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            taken.append(piece)
            missing -= len(piece)
        return np.concatenate(taken)


class _Converter:
    """One rate into another, piece by piece."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: Samples, last: bool = False) -> Samples:
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples, last=last)
        return out


class Utterance:
    """heard: what the engine is given, 16 kHz. sent: the same sound at the video's rate. Both begin with the first sample fed.

    arrived_s: by the caller's clock, when sound came last. ended: nothing follows; what the converters kept back is in the flows. say: the
    text that it speaks, where it is no recording. taken: samples that were taken of `sent` so far. phones: those of its sound that are
    known, in order, seconds from its start, and not told to the engine yet. last_chunk: number of the last chunk that it was fed, among
    all of the session.
    """

    def __init__(self, track_hz: int, now_s: float, say: Say | None = None) -> None:
        self.heard, self.sent = Flow(), Flow()
        self.say, self.taken, self.last_chunk = say, 0, 0
        self.phones: list[Phone] = []
        self._fed_s = 0.0
        self.arrived_s = now_s
        self.ended = False
        self._track_hz = track_hz
        self._rate_hz = 0
        self._last = 0.0
        self._filled = False

    @property
    def buffered_s(self) -> float:
        return len(self.heard) / SAMPLE_RATE_HZ

    def feed(self, samples: Samples, rate_hz: int, now_s: float, phones: Sequence[Phone] = ()) -> None:
        """samples: from `as_mono`, one at least. phones: those that begin in them, seconds from the first of them."""
        self.phones += [Phone(phone.ipa, phone.start_s + self._fed_s, phone.end_s + self._fed_s) for phone in phones]
        if self._filled:
            rising = min(len(samples), max(1, round(_FADE_S * rate_hz)))
            samples = samples.copy()
            samples[:rising] *= np.linspace(0, 1, rising, dtype=np.float32)
            self._filled = False
        if rate_hz != self._rate_hz:
            self._drain()
            self._rate_hz = rate_hz
            self._to_engine, self._to_track = _Converter(rate_hz, SAMPLE_RATE_HZ), _Converter(rate_hz, self._track_hz)
        self.arrived_s = now_s
        self._put(samples)

    def fill(self) -> None:
        """Silence of one frame, for sound that is late: it goes the way of the sound, so that nothing shifts against anything."""
        self._put(fade_out(self._last, self._rate_hz // FPS, self._rate_hz))
        self._filled = True

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self._drain()

    def next_heard(self) -> Samples | None:
        """One frame's samples; at the end what is left, at last none; None: not there yet."""
        if self.exhausted and not self.ended:
            return None
        return self.heard.take(SAMPLES_PER_FRAME)

    def next_phones(self) -> list[Phone]:
        """Those that became known since the last call."""
        phones, self.phones = self.phones, []
        return phones

    @property
    def exhausted(self) -> bool:
        """Less than a frame is left of what came so far."""
        return len(self.heard) < SAMPLES_PER_FRAME

    def sound_is_there(self) -> bool:
        """Whether `next_sent` has a whole frame's."""
        return self.ended or len(self.sent) >= self._track_hz // FPS

    def next_sent(self, last: float) -> Samples:
        """One frame's sound at the video's rate, filled up with silence at the end. last: the sample before it."""
        n = self._track_hz // FPS
        taken = self.sent.take(n)
        self.taken += len(taken)
        return np.concatenate((taken, fade_out(float(taken[-1]) if len(taken) else last, n - len(taken), self._track_hz)))

    def _put(self, samples: Samples) -> None:
        self._last = float(samples[-1])
        self._fed_s += len(samples) / self._rate_hz
        self.heard.put(self._to_engine(samples))
        self.sent.put(self._to_track(samples))

    def _drain(self) -> None:
        if self._rate_hz:
            nothing = np.zeros(0, np.float32)
            self.heard.put(self._to_engine(nothing, last=True))
            self.sent.put(self._to_track(nothing, last=True))
