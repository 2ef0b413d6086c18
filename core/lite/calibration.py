"""Measures for one portrait how far its lips must be parted so that a given opening is visible.

Faces differ: between the lips of a broad smile a small gap shows only teeth and still looks closed, full lips part visibly at once, and
lips that are pushed forward look more open than the same lips drawn apart. So a portrait is drawn with a few gaps of neutral, rounded and
spread lips when it is registered, the face mesh measures what is seen, and the inverse of these curves is applied to every frame. An
aperture of 0 stays closed, 1 of neutral lips stays as it is drawn; only the way between is made even, and all lips are made alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.lite.local_frame import Array
from core.types import Frame

GAPS = (0.0, 0.07, 0.14, 0.22, 0.35, 0.42, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25)
SHAPED_GAPS = (0.0, 0.1, 0.22, 0.45, 1.0)
"""Of rounded and of spread lips, whose curves are less winding."""
SPREADS = (-1.0, 0.0, 1.0)
MIN_FACTOR, MAX_FACTOR = 0.6, 1.7
"""Bounds of the correction: beyond them the measure, not the portrait, is at fault."""
MIN_ROUNDED = 0.4
"""The lower one of rounded and spread lips."""
UPPER_LIP, LOWER_LIP = 13, 14  # inner edges, middle


def seen_aperture(points: Array) -> float:
    """Distance of the inner lips in one face mesh (478, 3), in the unit of the points."""
    return float(np.linalg.norm(points[UPPER_LIP, :2] - points[LOWER_LIP, :2]))


class Calibration:
    """Maps a wanted aperture (0 closed .. 1 wide) to the gap to draw, same unit. wanted: (n,), rising. gaps: (3, n), at those, of lips of
    each of SPREADS.
    """

    def __init__(self, wanted: Array, gaps: Array) -> None:
        self.wanted, self.gaps = wanted, gaps

    def gap(self, aperture: float, spread: float = 0.0) -> float:
        """spread: -1 rounded .. 1 spread, as in `core.lite.mouth`."""
        neutral, shaped = self._at(self.gaps[1], aperture), self._at(self.gaps[0 if spread < 0 else 2], aperture)
        return neutral + min(abs(spread), 1.0) * (shaped - neutral)

    def _at(self, gaps: Array, aperture: float) -> float:
        if aperture >= self.wanted[-1]:
            return aperture * float(gaps[-1] / self.wanted[-1])
        return float(np.interp(aperture, self.wanted, gaps))


UNCORRECTED = Calibration(np.array(GAPS, np.float32), np.array([GAPS] * len(SPREADS), np.float32))


Draw = Callable[[float, float], Frame]
"""Gap and spread → picture."""
See = Callable[[Frame], Array | None]
"""Picture → face mesh, or None where no face is found."""


def calibrate(draw: Draw, see: See) -> Calibration:
    """Where a face is lost, nothing is corrected."""
    neutral = _seen(draw, see, GAPS, 0.0)
    if neutral is None:
        return UNCORRECTED
    closed, full = float(neutral[0]), float(neutral[GAPS.index(1.0)] - neutral[0])
    if full <= 0:
        return UNCORRECTED
    wanted = np.linspace(0, 1, 21, dtype=np.float32)
    rows = []
    for spread in SPREADS:
        gaps = SHAPED_GAPS if spread else GAPS
        seen = _seen(draw, see, gaps, spread) if spread else neutral
        if seen is None:
            return UNCORRECTED
        needed = _inverse((seen - closed) / full, np.array(gaps, np.float32), wanted, MIN_ROUNDED if spread else MIN_FACTOR)
        needed[0] = 0.0
        if not spread:
            needed[-1] = 1.0
        rows.append(np.maximum.accumulate(needed))
    return Calibration(wanted, np.array(rows, np.float32))


def _seen(draw: Draw, see: See, gaps: Sequence[float], spread: float) -> Array | None:
    """(len(gaps),): how far apart the lips are seen, never falling; None where a face is lost."""
    meshes = [see(draw(gap, spread)) for gap in gaps]
    if any(mesh is None for mesh in meshes):
        return None
    seen: Array = np.maximum.accumulate(np.array([seen_aperture(mesh) for mesh in meshes if mesh is not None], np.float32))
    return seen


def _inverse(seen: Array, gaps: Array, wanted: Array, min_factor: float) -> Array:
    """The gaps at which so much is seen as is wanted, within the bounds, smoothed. seen: at each of `gaps`, never falling."""
    rising = seen + np.arange(len(seen)) * np.float32(1e-4)  # strictly, so that the inverse exists
    needed = np.clip(np.interp(wanted, rising, gaps), min_factor * wanted, MAX_FACTOR * wanted)
    smoothed: Array = np.convolve(np.pad(needed, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
    return smoothed
