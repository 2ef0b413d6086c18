"""Finds the imperceptible mark in the frames of a video, however they were scaled, cut or mirrored, and says how likely that is by chance.

Frames are brought to the mark's size, freed from what is in the picture (local mean off, the rest bounded, all brought to one strength) and
added up. For each scale the sum is folded into one tile, of whose spectrum the phases are compared with the pattern's, at all
shifts at once. Only phases count, weighted by how much is there: the pattern's are random, so for any picture without it the statistic is
a sum of independent cosines, whose tail is below exp(-z²/2) (Hoeffding; I0(t) <= exp(t²/4)). Times the number of alignments tried that
bounds the chance of a false find, whatever the picture shows. Most videos are whole, at whatever size: the few alignments of those have a
share of that chance for themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.media.mark_pattern import CYCLES, DIGITS, N_BINS, REFERENCE, TILE, USED, VALUES, digit_phases, public_phases

MOST_CHANCE = 1e-5
"""A mark is found where chance finds one more rarely than that."""
MOST_PAYLOAD_CHANCE = 1e-3
"""The same of the payload in a mark that was found; this bound is looser."""
_LONGEST = 3 * REFERENCE
"""Of a very long picture only so much of the middle is looked at."""
_SCALES = np.exp(0.008 * np.arange(-86, 87))
"""Of the picture against the mark: below 1 where it was cut, above 1 where it is a part of a larger one."""
_FINER = (-0.004, -0.002, 0.002, 0.004)
_BEST = 3
"""Around so many scales it is looked more closely."""
_NEAR = 1
"""By so much, in units of the pattern, the tile of a whole picture may seem to begin elsewhere."""
_WHOLE_SHARE = 0.1
"""Of the chance of a false find, that of the alignments of whole pictures."""
TRIED_WHOLE = 2 * (2 * _NEAR + 1) ** 2 / _WHOLE_SHARE
TRIED = (len(_SCALES) + _BEST * len(_FINER)) * 2 * TILE * TILE / (1 - _WHOLE_SHARE)
"""Alignments of whole pictures, and all of them, over their share of the chance."""
_CERTAIN = 1e-20
"""Where the picture is whole and its mark so plain, no other alignment is tried."""
_MEAN_SIGMA, _STRENGTH_SIGMA = 2.0, 4.0
_MOST_LEVELS, _NOISE = 2.0, 0.05
_WEIGHT, _RISE = 0.5, 0.75
"""Powers of the magnitudes and of the frequency by which phases are weighted: of what pictures show, less is in the higher frequencies."""

Array = NDArray[np.float32]
_PUBLIC = np.zeros(USED.shape, np.complex64)
_PUBLIC[USED] = np.conj(public_phases())
_PUBLIC[:, 0] *= 2  # `irfft2` counts the other columns twice
_BY_FREQUENCY = CYCLES.astype(np.float32) ** np.float32(_RISE)


@dataclass(frozen=True)
class MarkReading:
    """found: the public mark is there. chance: bound on the probability that a video without it gives as much, 0..1. score: the statistic,
    in standard deviations; of a whole picture what would be as rare among all alignments. mirrored: the picture is. scale: of what is
    shown now, in the marked picture's shorter side. payload: 0 .. 2**32 - 1, of a deployment's own pattern; None where none was looked for
    or found. payload_chance: as `chance`. n_frames: how many were looked at.
    """

    found: bool
    chance: float
    score: float = 0.0
    mirrored: bool = False
    scale: float = 1.0
    payload: int | None = None
    payload_chance: float = 1.0
    n_frames: int = 0

    @property
    def confidence(self) -> float:
        """0..1."""
        return 1 - self.chance

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "found": self.found,
            "confidence": self.confidence,
            "chance": self.chance,
            "id": None if self.payload is None else f"{self.payload:08x}",
            "mirrored": self.mirrored if self.found else None,
            "scale": round(self.scale, 3) if self.found else None,
            "frames": self.n_frames,
        }


@dataclass(frozen=True)
class _Alignment:
    z: float
    scale: float
    mirrored: bool
    phases: NDArray[np.complex64]
    """(N_BINS,), weighted and normed, shifted to where the tile begins."""


class MarkDetector:
    """Adds up frames and looks for the mark in them. Not thread-safe. key: of the deployment whose payload is looked for."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._sum: Array | None = None
        self.n_frames = 0
        """Frames added so far."""

    def add(self, luma: NDArray[np.uint8]) -> None:
        """One frame, (height, width). A frame of another shape than the first is passed over."""
        picture = _brought_to_size(luma)
        if self._sum is None:
            self._sum = np.zeros_like(picture)
        if picture.shape != self._sum.shape:
            return
        residual = picture - cv2.GaussianBlur(picture, (0, 0), _MEAN_SIGMA)
        self._sum += np.clip(residual, -_MOST_LEVELS, _MOST_LEVELS, out=residual)
        self.n_frames += 1

    def read(self) -> MarkReading:
        """What the frames so far tell."""
        if self._sum is None:
            return MarkReading(False, 1.0)
        mean = self._sum / self.n_frames
        even = mean / np.sqrt(cv2.GaussianBlur(mean * mean, (0, 0), _STRENGTH_SIGMA) + _NOISE)
        best, log_chance = _align(even)
        chance, score = math.exp(min(0.0, log_chance)), math.sqrt(2 * (math.log(TRIED) - log_chance))
        found = chance <= MOST_CHANCE
        payload, payload_chance = _payload(best, self._key) if found and self._key is not None else (None, 1.0)
        return MarkReading(found, chance, score, best.mirrored, 1 / best.scale, payload, payload_chance, self.n_frames)


def _brought_to_size(luma: NDArray[np.uint8]) -> Array:
    """float32, the shorter side REFERENCE."""
    height, width = luma.shape
    side = min(height, width)
    longest = max(side, side * _LONGEST // REFERENCE)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    luma = luma[top : top + longest, left : left + longest]
    if side != REFERENCE:
        size = (round(luma.shape[1] * REFERENCE / side), round(luma.shape[0] * REFERENCE / side))
        luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA if side > REFERENCE else cv2.INTER_CUBIC), np.uint8)
    picture: Array = luma.astype(np.float32)
    return picture


def _align(even: Array) -> tuple[_Alignment, float]:
    """The least likely of all alignments, and the logarithm of the bound on its chance, which may be above 0."""
    whole = _best_at(even, 1.0, whole=True)
    best, log_chance = whole, _log_chance(whole.z, TRIED_WHOLE)
    if math.log(_CERTAIN) < log_chance:
        coarse = sorted((_best_at(even, float(scale)) for scale in _SCALES), key=lambda found: -found.z)[:_BEST]
        finer = [_best_at(even, found.scale * (1 + step)) for found in coarse for step in _FINER]
        part = max((*coarse, *finer), key=lambda found: found.z)
        if _log_chance(part.z, TRIED) < log_chance:
            best, log_chance = part, _log_chance(part.z, TRIED)
    return best, log_chance


def _best_at(even: Array, scale: float, whole: bool = False) -> _Alignment:
    """The best of all shifts, as it is or mirrored, of the picture scaled. whole: the best of where the tile of a whole picture begins."""
    height, width = even.shape
    spectrum = np.fft.rfft2(_folded(cv2.resize(even, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)))
    magnitudes = np.abs(spectrum) + 1e-9
    weights = magnitudes**_WEIGHT * _BY_FREQUENCY
    phases = spectrum / magnitudes * weights
    norm = math.sqrt(float(np.sum(weights[USED] ** 2)) / 2)
    best: tuple[float, bool, int, Any] = (-1.0, False, 0, phases)
    for mirrored in (False, True):
        if mirrored:
            phases = np.conj(np.roll(phases[::-1], 1, axis=0))
        scores = np.fft.irfft2(phases * _PUBLIC, (TILE, TILE))
        if whole:
            scores = _near(scores, (1 - width) % TILE if mirrored else 0)
        at = int(scores.argmax())
        z = float(scores.flat[at]) * TILE * TILE / 2 / norm
        if z > best[0]:
            best = (z, mirrored, at, phases)
    z, mirrored, at, phases = best
    down, across = divmod(at, TILE)
    turns = np.fft.fftfreq(TILE)[:, None] * down + np.fft.rfftfreq(TILE)[None] * across
    return _Alignment(z, scale, mirrored, (phases[USED] * np.exp(2j * np.pi * turns[USED]) / norm).astype(np.complex64))


def _near(scores: NDArray[np.float64], across: int) -> NDArray[np.float64]:
    """The scores of shifts within _NEAR of (0, across); the others as low as can be."""
    at = np.ix_(np.arange(-_NEAR, _NEAR + 1) % TILE, (across + np.arange(-_NEAR, _NEAR + 1)) % TILE)
    near = np.full_like(scores, -np.inf)
    near[at] = scores[at]
    return near


def _folded(picture: Array) -> Array:
    """The sum of a picture's tiles, (TILE, TILE); what is missing of the last ones counts as nothing."""
    height, width = picture.shape
    padded = np.zeros((-(-height // TILE) * TILE, -(-width // TILE) * TILE), np.float32)
    padded[:height, :width] = picture
    folded: Array = padded.reshape(padded.shape[0] // TILE, TILE, padded.shape[1] // TILE, TILE).sum((0, 2))
    return folded


def _payload(aligned: _Alignment, key: bytes) -> tuple[int | None, float]:
    """The payload, and the bound on the chance that there is none or another; None where that is not small."""
    patterns = digit_phases(key).reshape(DIGITS * VALUES, N_BINS)
    scores = (patterns.conj() @ aligned.phases).real.reshape(DIGITS, VALUES)
    best = scores.max(1)
    chance = _chance(float(best.sum()) / math.sqrt(DIGITS), VALUES**DIGITS)
    others = np.exp(best.mean() * (scores - best[:, None])).sum(1) - 1  # their likelihood, where a true digit scores as these do
    chance = min(1.0, chance + float(others.sum()))
    return (int.from_bytes(bytes(scores.argmax(1).tolist()), "big") if chance <= MOST_PAYLOAD_CHANCE else None), chance


def _chance(z: float, tried: float) -> float:
    return math.exp(min(0.0, _log_chance(z, tried)))


def _log_chance(z: float, tried: float) -> float:
    """Of the bound, which may be above 1."""
    return math.log(tried) - z * z / 2
