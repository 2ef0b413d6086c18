"""Turns speech samples into 25 speech features a second while the samples arrive.

A HuBERT encoder (Hsu et al. 2021, arXiv:2106.07447) hears windows of 10 frames (3 past, 5 current, 2 ahead, and 80 samples so that its last
row is whole): 6480 samples give 20 rows of 1024, of which the 10 of the current frames are averaged in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from core.atomic_components.pose import Array
from core.errors import AudioError, EngineUnavailable
from core.stage_times import stage
from core.types import SAMPLES_PER_FRAME

PAST, CURRENT, AHEAD = 3, 5, 2
"""Frames of one window; CURRENT of them get a feature."""
WINDOW = (PAST + CURRENT + AHEAD) * SAMPLES_PER_FRAME + 80
"""6480 samples."""
STEP = CURRENT * SAMPLES_PER_FRAME
FEATURE_DIM = 1024

SpeechEncoder = Callable[[Array], Array]
"""(1, 6480) float32 samples -> (20, 1024) float32, or more rows: they are counted from the end."""


@dataclass(frozen=True)
class FeatureOptions:
    """lead_in: silent samples before the first window's first sample, one of two published alignments.

    2000 is what whole files are given (a feature then hears its frame 5 ms early), 1920 what streams are given (exactly its frame). The
    difference is an eighth of a frame. Each window policy keeps its own, since the published output of each rests on it.
    """

    lead_in: int = 2000

    @classmethod
    def of(cls, online_mode: bool) -> FeatureOptions:
        """The published alignment of a window policy."""
        return cls(lead_in=PAST * SAMPLES_PER_FRAME) if online_mode else cls()


def samples_needed(n_features: int, online_mode: bool) -> int:
    """After how many samples of an utterance that goes on its first `n_features` features are there."""
    return (-(-n_features // CURRENT) - 1) * STEP + WINDOW - FeatureOptions.of(online_mode).lead_in


class Wav2Feat:
    """Features of one stream of samples. Exactly ceil(samples / 640) rows in all; holds at most one window and one push of samples.

    A window of 5 features is ready once the samples up to 4480 (whole files) or 4560 (streams) past its first frame are there.
    """

    def __init__(self, encode: SpeechEncoder, options: FeatureOptions | None = None) -> None:
        self._encode = encode
        self._lead_in = (options or FeatureOptions()).lead_in
        self.reset()

    def reset(self) -> None:
        """Forgets everything heard; the next push starts a new utterance."""
        self._pieces: list[Array] = [np.zeros(self._lead_in, np.float32)]
        self._waiting = self._lead_in  # samples in _pieces
        self._heard = 0
        self._made = 0

    def push(self, samples: Array) -> Iterator[Array]:
        """Hears (n,) float32 samples, 16 kHz, -1..1, n >= 0, and yields (5, 1024) float32 for each window that is complete now.

        The samples are taken at the call, the encoder runs as the iterator is read; what was not read comes with the next push.
        """
        samples = np.array(samples, dtype=np.float32)
        if samples.ndim != 1:
            raise AudioError(f"The samples have the shape {samples.shape}.", "Pass one channel, (n,), at 16 kHz.")
        if len(samples):
            self._pieces.append(samples)
            self._waiting += len(samples)
            self._heard += len(samples)
        return self._ready()

    def flush(self) -> Iterator[Array]:
        """Yields what is left, the last block cut to the number of frames, and starts a new utterance. To be read to its end."""
        yield from self._ready()
        n_frames = -(-self._heard // SAMPLES_PER_FRAME)
        while self._made < n_frames:
            self._pieces.append(np.zeros(WINDOW, np.float32))
            self._waiting += WINDOW
            yield self._window()[: n_frames - (self._made - CURRENT)]
        self.reset()

    def silence(self, n_frames: int) -> Array:
        """(n_frames, 1024) float32: features of so many frames of silence. Does not touch the stream."""
        block = self._features(np.zeros((1, WINDOW), np.float32))  # every window of silence is the same one
        return np.tile(block, (-(-n_frames // CURRENT), 1))[:n_frames]

    def _ready(self) -> Iterator[Array]:
        # A window reaches past the last frame it makes, so a complete one never makes a feature for a frame without sound.
        while self._waiting >= WINDOW:
            yield self._window()

    def _window(self) -> Array:
        # Joined once a window, not once a push, since pushes may be single samples; not joined where a push is a whole file.
        buffer = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        rest = buffer[STEP:]
        self._pieces = [rest.copy() if len(rest) < WINDOW else rest]  # a short view must not keep a long recording alive
        self._waiting = len(rest)
        self._made += CURRENT
        return self._features(buffer[None, :WINDOW])

    def _features(self, window: Array) -> Array:
        """(1, 6480) -> (5, 1024)."""
        with stage("speech features", CURRENT):
            rows = np.asarray(self._encode(window), np.float32)
        if rows.ndim != 2 or len(rows) < 2 * (CURRENT + AHEAD):
            raise EngineUnavailable(f"The speech encoder returned an array {rows.shape}.", "It must return 20 rows for 6480 samples.")
        current = rows[-2 * (CURRENT + AHEAD) : -2 * AHEAD]
        features: Array = current.reshape(CURRENT, 2, -1).mean(axis=1)
        return features
