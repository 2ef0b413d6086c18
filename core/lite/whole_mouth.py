"""How far lips open and what they touch in a recording that is there as a whole: linear in features of `speech_encoder.py`."""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.lite.speech_encoder import STEP, encode
from core.lite.weights_file import F32, read_safetensors
from core.types import SAMPLES_PER_FRAME

WHOLE_PATH = Path(__file__).with_name("whole_mouth.safetensors")
PIECE_FRAMES = 200
"""A recording is heard in pieces of 8 s: a longer one would cost time before the first frame, and memory."""
MARGIN = 25 * SAMPLES_PER_FRAME
"""What a piece hears before and after it: 1 s."""
REACH = 2
_STEPS = SAMPLES_PER_FRAME // STEP


@functools.cache
def load_whole(path: Path = WHOLE_PATH) -> tuple[F32, F32]:
    """Weights (5 x 384, 3) and offsets (3,), read-only; loaded once a process and path."""
    t, _ = read_safetensors(path)
    return t["w"], t["b"]


def beside(features: F32) -> F32:
    """(n, 384) features, one each 20 ms. (n, 5 x 384): each with those REACH and 2 REACH rows before and after it, the ends repeated."""
    n = len(features)
    return np.concatenate([features[np.clip(np.arange(n) + k * REACH, 0, n - 1)] for k in range(-2, 3)], 1)


@functools.cache
def ears() -> ThreadPoolExecutor:
    """The thread that hears ahead, of all recordings. It is not patient: who draws may come to wait for it."""
    return ThreadPoolExecutor(1, "hearing")


class WholeMouth:
    """Of one recording: (n,) samples, float32, mono, 16 kHz. The first piece is heard when its first row is asked for, each other one
    while the rows of the one before are in use; the rows are the same however they are asked for.
    """

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self._samples = samples
        self._piece, self._rows = -1, np.zeros((0, 3), np.float32)
        self._ahead: tuple[int, Future[F32]] | None = None

    def rows(self, first: int, n: int) -> F32:
        """(n, 3) of n frames of 40 ms from `first` on: opening, as if lips never met; tuck; how surely lips touch. Estimates, so only about
        0 to 1. Frames beyond the recording have the last one's.
        """
        last = max(-(-len(self._samples) // SAMPLES_PER_FRAME) - 1, 0)
        frames = np.minimum(np.arange(first, first + n), last)
        out = np.zeros((n, 3), np.float32)
        for piece in np.unique(frames // PIECE_FRAMES).tolist():
            self._take(piece, last // PIECE_FRAMES)
            here = frames // PIECE_FRAMES == piece
            out[here] = self._rows[frames[here] - piece * PIECE_FRAMES]
        return out

    def _take(self, piece: int, last_piece: int) -> None:
        if piece == self._piece:
            return
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == piece and not ahead[1].cancel():  # which it can be where it has not begun
            self._rows = ahead[1].result()
        else:
            self._rows = self._hear(piece)
        self._piece = piece
        if piece < last_piece:
            self._ahead = piece + 1, ears().submit(self._hear, piece + 1)

    def _hear(self, piece: int) -> F32:
        start, end = (each * PIECE_FRAMES * SAMPLES_PER_FRAME for each in (piece, piece + 1))
        before = min(start, MARGIN)
        heard = self._samples[start - before : end + MARGIN]
        w, b = load_whole()
        steps = beside(encode(np.pad(heard, (0, -len(heard) % SAMPLES_PER_FRAME)))) @ w + b
        rows: F32 = steps.reshape(-1, _STEPS, 3).mean(1)
        return rows[before // SAMPLES_PER_FRAME :][:PIECE_FRAMES]
