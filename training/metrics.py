"""Measures generated motion against the motion of a clip: error, lips, closures, sync, diversity, and beats of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.atomic_components.motion_stitch import LIP
from core.atomic_components.pose import ANGLES, LAYOUT, degrees
from core.sync.correlation import match
from core.sync.report import DELAY_MS
from core.types import FPS
from training.data.clip import Array, ClipArrays

F64 = NDArray[np.float64]
LIP_DIMS = [LAYOUT["exp"].start + 3 * keypoint + axis for keypoint in LIP for axis in range(3)]
RIDGE = 1e-2
"""Of the read-out, relative to the variance of the inputs."""
CLOSED = 0.15
"""Lips are closed below this share of the way from the 2nd to the 98th percentile of a clip's opening."""
BEAT_FRAMES = 3.0
"""Width of the bell that a beat is forgiven by, as of the Beat Alignment Score (arXiv:2101.08779)."""


@dataclass(frozen=True, eq=False)
class MouthReading:
    """Opening and width of the mouth, linear in the 18 numbers of the lips' keypoints: what those mean is not published, so it is fitted.

    r: correlation of the opening read so with that measured on the picture, on the clips it was fitted on.
    """

    weights: F64
    r: float

    @classmethod
    def fit(cls, clips: list[ClipArrays]) -> MouthReading:
        """Ridge regression about each clip's own mean, since faces differ."""
        inputs = np.concatenate([_centred(clip.motion[:, LIP_DIMS]) for clip in clips])
        wanted = np.concatenate([_centred(clip.mouth) for clip in clips])
        square = inputs.T @ inputs
        square += RIDGE * np.trace(square) / len(square) * np.eye(len(square))
        weights = np.linalg.solve(square, inputs.T @ wanted)
        return cls(weights, correlation((inputs @ weights)[:, 0], wanted[:, 0]))

    def __call__(self, motion: Array, about: Array) -> F64:
        """(n, 2) opening and width, as differences from those of `about`'s mean (n, 265)."""
        found: F64 = (motion[:, LIP_DIMS].astype(np.float64) - about[:, LIP_DIMS].mean(axis=0)) @ self.weights
        return found


def _centred(rows: Array) -> F64:
    wide = rows.astype(np.float64)
    out: F64 = wide - wide.mean(axis=0)
    return out


def correlation(a: F64, b: F64) -> float:
    """Pearson's; 0 where one does not move."""
    a, b = a - a.mean(), b - b.mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / power if power > 1e-12 else 0.0


@dataclass(frozen=True)
class Scores:
    """Of one clip. error: root mean square of the 265 numbers in units of the data's scale. lips_r: of the opening of the mouth. closures:
    F1 of frames with closed lips. sync_ms, sync_confidence: of the generated mouth against the sound, as of the sync report; None where
    too little is said. diversity: root mean square between seeds, in the same units as error. beats: 0..1, how near to beats of the
    loudness the head changes its direction; clip_beats: the same of the clip itself.
    """

    error: float
    lips_r: float
    closures: float
    sync_ms: float | None
    sync_confidence: float | None
    diversity: float
    beats: float
    clip_beats: float


def score(made: list[Array], clip: ClipArrays, reading: MouthReading, scale: Array) -> Scores:
    """made: motion (n, 265) by seed, one or more."""
    first = made[0]
    seen, wanted = reading(first, clip.motion), clip.mouth.astype(np.float64)
    found = match(seen, clip.asked.astype(np.float64), clip.speech > 0.5)
    return Scores(
        error=_rms(first - clip.motion, scale),
        lips_r=correlation(seen[:, 0], wanted[:, 0]),
        closures=closure_f1(seen[:, 0], wanted[:, 0]),
        sync_ms=None if found is None else found.lag * 1000 / FPS - DELAY_MS,
        sync_confidence=None if found is None else found.confidence,
        diversity=float(np.mean([_rms(other - first, scale) for other in made[1:]])) if len(made) > 1 else 0.0,
        beats=beat_alignment(first, clip.loudness),
        clip_beats=beat_alignment(clip.motion, clip.loudness),
    )


def _rms(apart: Array, scale: Array) -> float:
    return float(np.sqrt(np.square(apart / scale).mean()))


def closed(opening: F64) -> NDArray[np.bool_]:
    low, high = np.percentile(opening, (2, 98))
    return np.asarray(opening <= low + CLOSED * (high - low))


def closure_f1(seen: F64, wanted: F64) -> float:
    """2 both / (closed in one + closed in the other)."""
    a, b = closed(seen), closed(wanted)
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def beat_alignment(motion: Array, loudness: Array) -> float:
    """The Beat Alignment Score of AIST++ (arXiv:2101.08779): for each beat of the sound (a peak of its loudness) a bell of the distance to
    the nearest beat of the head (a moment at which its turning is slowest), on the average.
    """
    angles = np.stack([degrees(motion[:, LAYOUT[name]]) for name in ANGLES], axis=1).astype(np.float64)
    speed = np.linalg.norm(np.diff(_smooth(angles), axis=0), axis=1)
    heads, sounds = _peaks(-speed), _peaks(_smooth(loudness[:, None].astype(np.float64))[:, 0])
    if not len(heads) or not len(sounds):
        return 0.0
    apart = np.abs(sounds[:, None] - heads[None]).min(axis=1)
    return float(np.exp(-np.square(apart) / (2 * BEAT_FRAMES**2)).mean())


def _smooth(rows: F64) -> F64:
    bell = np.hanning(7)[1:-1]
    bell /= bell.sum()
    padded = np.pad(rows, ((2, 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, bell, "valid") for column in padded.T], axis=1)


def _peaks(values: F64) -> NDArray[np.intp]:
    return np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:])) + 1
