"""The input features of the mouth network: log-mel energies at 100 Hz with a running level adjustment.

Frame j covers the 25 ms around t = j x 10 ms. Levelling is causal: each band minus its running mean over recent speech, so that
microphones, rooms and loudness drop out; `level` keeps what levelling takes away.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
HOP = 160
WINDOW = 400
N_FFT = 512
N_BANDS = 40
N_FEATURES = N_BANDS + 2
"""40 levelled bands, the frame's level over the running speech level, and its level over full scale."""
FLOOR = 1e-10
"""Band power below which nothing is heard: about -75 dB for a band of quiet speech."""
MEMORY_FRAMES = 300.0
"""Time constant of the running mean: 3 s of speech."""
PRIOR_FRAMES = 30.0
"""The prior mean counts as much as 0.3 s of speech."""

F64 = NDArray[np.float64]


def mel_filters() -> F64:
    """(257, 40) triangular filters, 70 to 7600 Hz, equally spaced on the mel scale, each summing to its width in bins."""
    mel = np.linspace(2595 * math.log10(1 + 70 / 700), 2595 * math.log10(1 + 7600 / 700), N_BANDS + 2)
    edge = 700 * (10 ** (mel / 2595) - 1)
    hz = np.arange(N_FFT // 2 + 1) * RATE_HZ / N_FFT
    rise = (hz[:, None] - edge[None, :-2]) / (edge[1:-1] - edge[:-2])
    fall = (edge[None, 2:] - hz[:, None]) / (edge[2:] - edge[1:-1])
    return np.clip(np.minimum(rise, fall), 0, None)


_PRIOR = np.concatenate((np.linspace(-12.0, -10.5, 8), np.linspace(-11.0, -16.0, N_BANDS - 8)))
"""Mean log band power of speech at a usual level: where levelling starts from, before it has heard anything."""


class SpeechFeatures:
    """Streaming features; all state of one utterance. `push` cuts do not change the result beyond rounding."""

    def __init__(self) -> None:
        self._window = np.hanning(WINDOW + 1)[:-1]
        self._filters = mel_filters()
        self._scale = 2.0 / (N_FFT * float(np.sum(self._window**2)))
        self.reset()

    def reset(self) -> None:
        self._pending: F64 = np.zeros(WINDOW // 2)  # frame 0 is centred on sample 0
        self._reference = math.log(1e-5)  # running peak level of speech, log power
        self._sum: F64 = _PRIOR * PRIOR_FRAMES
        self._count = PRIOR_FRAMES

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """samples: (n,) float32 at 16 kHz. Returns (k, 42) float32: the frames that are complete now."""
        self._pending = np.concatenate((self._pending, samples))
        k = (len(self._pending) - WINDOW) // HOP + 1
        if k <= 0:
            return np.zeros((0, N_FEATURES), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(self._pending, WINDOW)[: (k - 1) * HOP + 1 : HOP]
        spectrum = np.fft.rfft(frames * self._window, N_FFT)
        power = (spectrum.real**2 + spectrum.imag**2) * self._scale
        bands = np.log(np.maximum(power @ self._filters, FLOOR))
        level = np.log(np.maximum(power[:, 3:].sum(1), 10 * FLOOR))
        self._pending = self._pending[k * HOP :]
        return self._levelled(bands, level)

    def _levelled(self, bands: F64, level: F64) -> NDArray[np.float32]:
        """bands: (k, 40), level: (k,), both log power."""
        out = np.empty((len(level), N_FEATURES), np.float32)
        keep = math.exp(-1 / MEMORY_FRAMES)
        reference, count, total = self._reference, self._count, self._sum
        for j, e in enumerate(level.tolist()):
            # The reference follows rises within some 50 ms and falls by 4 dB a second.
            reference = reference + 0.2 * (e - reference) if e > reference else max(reference - 0.0092, -14.0)
            # Speech counts, pauses do not: half weight 14 dB below the reference.
            weight = 1.0 / (1.0 + math.exp(min((reference - 3.2 - e) * 1.5, 50.0)))
            if weight > 0.01:
                fade = 1.0 - weight * (1.0 - keep)
                total = total * fade + bands[j] * weight
                count = count * fade + weight
            out[j, :N_BANDS] = bands[j] - total / count
            out[j, N_BANDS] = e - reference
            out[j, N_BANDS + 1] = e
        self._reference, self._count, self._sum = reference, count, total
        out[:, :N_BANDS] = np.clip(out[:, :N_BANDS] * 0.5, -5, 4)
        out[:, N_BANDS] = np.maximum(out[:, N_BANDS] * 0.3 + 1.0, -4)
        out[:, N_BANDS + 1] = (out[:, N_BANDS + 1] + 8.0) * 0.2
        return out
