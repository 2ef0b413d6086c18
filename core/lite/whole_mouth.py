"""How far lips open and whether they touch, of a recording that is there as a whole: small networks on features of `speech_encoder.py`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.lite.speech_encoder import STEP, encode
from core.lite.weights_file import F32, read_safetensors
from core.types import SAMPLES_PER_FRAME

WHOLE_PATH = Path(__file__).with_name("whole_mouth.safetensors")
PIECE_FRAMES = 200
"""A recording is heard in pieces of 8 s: a longer one would cost time before the first frame, and memory."""
BESIDE = 25 * SAMPLES_PER_FRAME
"""What a piece hears before and after it: 1 s."""
_STEPS = SAMPLES_PER_FRAME // STEP


@dataclass(frozen=True)
class WholeWeights:
    """Of each layer (networks, taps x in, out), oldest tap first, and (networks, 1, out). Read-only."""

    layers: tuple[tuple[F32, F32], ...]


@functools.cache
def load_whole(path: Path = WHOLE_PATH) -> WholeWeights:
    """Loaded once a process and path."""
    t, _ = read_safetensors(path)
    return WholeWeights(tuple((t[f"{k}.w"], t[f"{k}.b"][:, None]) for k in range(len(t) // 2)))


class WholeMouth:
    """Of one recording: (n,) samples, float32, mono, 16 kHz. Each piece is heard when its first row is asked for; the rows are the same
    however they are asked for.
    """

    def __init__(self, samples: NDArray[np.float32], weights: WholeWeights | None = None) -> None:
        self._samples, self._weights = samples, weights or load_whole()
        self._piece, self._rows = -1, np.zeros((0, 2), np.float32)

    def rows(self, first: int, n: int) -> F32:
        """(n, 2): opening, as if lips never met, and the probability that they touch, of n frames of 40 ms from `first` on. Frames beyond
        the recording have the last one's.
        """
        last = max(-(-len(self._samples) // SAMPLES_PER_FRAME) - 1, 0)
        frames = np.minimum(np.arange(first, first + n), last)
        out = np.zeros((n, 2), np.float32)
        for piece in np.unique(frames // PIECE_FRAMES).tolist():
            self._hear(piece)
            here = frames // PIECE_FRAMES == piece
            out[here] = self._rows[frames[here] - piece * PIECE_FRAMES]
        return out

    def _hear(self, piece: int) -> None:
        if piece == self._piece:
            return
        start, end = (each * PIECE_FRAMES * SAMPLES_PER_FRAME for each in (piece, piece + 1))
        before = min(start, BESIDE)
        heard = self._samples[start - before : end + BESIDE]
        steps = read_out(encode(np.pad(heard, (0, -len(heard) % SAMPLES_PER_FRAME))), self._weights)
        rows = steps.reshape(-1, _STEPS, 2).mean(1)
        self._piece, self._rows = piece, rows[before // SAMPLES_PER_FRAME :][:PIECE_FRAMES]


def read_out(features: F32, weights: WholeWeights) -> F32:
    """features: (n, 384), one each 20 ms. (n, 2): opening, and the probability of lips touching; the networks' mean."""
    x = features[None]
    for k, (w, b) in enumerate(weights.layers):
        taps = w.shape[1] // x.shape[-1]
        padded = np.pad(x, ((0, 0), (taps // 2, taps // 2), (0, 0)))
        x = np.concatenate([padded[:, j : j + x.shape[1]] for j in range(taps)], -1) @ w + b
        if k < len(weights.layers) - 1:
            x = np.maximum(x, 0)
    mean = x.mean(0)
    return np.stack((mean[:, 0], 1 / (1 + np.exp(-mean[:, 1]))), 1)
