"""How far the voice is above its usual pitch, frame by frame: people nod and lift their brows on syllables said higher and louder."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

F32 = NDArray[np.float32]

MARGIN = 320
"""Samples before and after a frame that its pitch is heard in, too: 80 ms hold at least four periods of a low voice."""
SMOOTHED, THINNED = 8, 4
"""The sound is averaged over so many samples, which leaves the voice's first harmonics, and of those each so manyth is kept."""
LOWEST_HZ, HIGHEST_HZ = 60, 400
PERIODIC, NEARLY_BEST = 0.5, 0.9
"""Autocorrelation from which on a sound has a pitch; the shortest period that is so near the best one counts, not a multiple of it."""
QUIET_RMS = 1e-3
"""-60 dB of full scale: what is softer is no voice."""
USUAL = 0.03
"""Share of the way by which the usual pitch follows the voice in each of its frames, a mean over 1.3 s; over all of it at first."""
OCTAVE = 8.0
"""Semitones from the usual pitch from which on a pitch was taken for its double or its half."""
RISEN, HIGH = 1.0, 5.0
"""Semitones above the usual pitch from which on it counts, and where it counts in full."""
FADING = 0.7
"""What is left of a rise in each frame without a pitch."""
_RATE_HZ = SAMPLE_RATE_HZ / THINNED
_LAGS = np.arange(int(_RATE_HZ / HIGHEST_HZ) - 1, int(_RATE_HZ / LOWEST_HZ) + 3)


class PitchTracker:
    """Of one utterance. The sound may come in any pieces: a frame depends on its own samples alone, and on the frames before it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next push begins a new utterance."""
        self._samples: F32 = np.zeros(MARGIN, np.float32)
        self._usual = self._rise = 0.0
        self._voiced = 0

    def push(self, samples: F32, n_frames: int) -> F32:
        """samples: (n,) float32, mono, 16 kHz, -1..1. Returns (n_frames,) float32, 0..1: how far the voice has risen in each of the next
        frames. MARGIN samples after a frame must have been heard; what is missing at the end of the utterance is silence.
        """
        self._samples = np.concatenate((self._samples, samples.astype(np.float32, copy=False)))
        missing = n_frames * SAMPLES_PER_FRAME + 2 * MARGIN - len(self._samples) if n_frames else 0
        heard = np.pad(self._samples, (0, max(missing, 0)))
        self._samples = heard[n_frames * SAMPLES_PER_FRAME :]
        if not n_frames:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(heard, SAMPLES_PER_FRAME + 2 * MARGIN)[::SAMPLES_PER_FRAME][:n_frames]
        return np.array([self._next(hz) for hz in pitch_hz(windows).tolist()], np.float32)

    def _next(self, hz: float) -> float:
        if hz <= 0:
            self._rise *= FADING
            return self._rise
        semitones = 12 * math.log2(hz / LOWEST_HZ)
        self._voiced += 1
        if self._voiced > 1:
            semitones -= 12 * (semitones > self._usual + OCTAVE) - 12 * (semitones < self._usual - OCTAVE)
        self._usual += max(USUAL, 1 / self._voiced) * (semitones - self._usual)
        self._rise = min(max((semitones - self._usual - RISEN) / (HIGH - RISEN), 0.0), 1.0)
        return self._rise


def pitch_hz(windows: F32) -> NDArray[np.float64]:
    """(k,): the fundamental frequency of each window, 0 where there is none, by normalised autocorrelation (Boersma, IFA Proceedings 17,
    1993). windows: (k, n) float32, each at least two periods of it, 16 kHz.
    """
    sums = np.cumsum(windows, axis=1, dtype=np.float64)
    x = (sums[:, SMOOTHED::THINNED] - sums[:, :-SMOOTHED:THINNED]) / SMOOTHED
    x -= x.mean(1, keepdims=True)
    n = x.shape[1]
    energy = np.pad(np.cumsum(x * x, axis=1), ((0, 0), (1, 0)))
    room = 1 << int(n + _LAGS[-1]).bit_length()  # for the products, which would else go round
    spectrum = np.fft.rfft(x, room)
    products = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, room)[:, _LAGS]  # of the sound with itself, each lag later
    alike = products / np.sqrt(np.maximum(energy[:, n - _LAGS] * (energy[:, n:] - energy[:, _LAGS]), 1e-20))
    inner = alike[:, 1:-1]
    heights = np.where((inner > alike[:, :-2]) & (inner >= alike[:, 2:]), inner, -1.0)
    best = heights.max(1)
    rows = np.arange(len(x))
    at = np.argmax(heights >= NEARLY_BEST * best[:, None], axis=1)
    before, here, after = alike[rows, at], alike[rows, at + 1], alike[rows, at + 2]
    between = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-12)  # of a parabola through the three
    voiced = (energy[:, n] >= n * QUIET_RMS**2) & (best >= PERIODIC)
    return np.where(voiced, _RATE_HZ / (_LAGS[at + 1] + between), 0.0)
