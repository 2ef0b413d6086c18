"""Measures for one portrait how far its lips must be parted so that a given opening is visible.

Faces differ: between the lips of a broad smile a small gap shows only teeth and still looks closed, full lips part visibly at once.
So a portrait is drawn with a few gaps when it is registered, the face mesh measures what is seen, and the inverse of that curve is
applied to every frame. An aperture of 0 stays closed, 1 stays as it is drawn; only the way between is made even.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.lite.local_frame import Array
from core.types import Frame

GAPS = (0.0, 0.07, 0.14, 0.22, 0.35, 0.5, 0.7, 1.0, 1.25)
MIN_FACTOR, MAX_FACTOR = 0.6, 1.7
"""Bounds of the correction: beyond them the measure, not the portrait, is at fault."""
UPPER_LIP, LOWER_LIP = 13, 14  # inner edges, middle


def seen_aperture(points: Array) -> float:
    """Distance of the inner lips in one face mesh (478, 3), in the unit of the points."""
    return float(np.linalg.norm(points[UPPER_LIP, :2] - points[LOWER_LIP, :2]))


class Calibration:
    """Maps a wanted aperture (0 closed .. 1 wide) to the gap to draw, same unit: at `wanted`, rising, are `gaps`."""

    def __init__(self, wanted: Array, gaps: Array) -> None:
        self.wanted, self.gaps = wanted, gaps

    def gap(self, aperture: float) -> float:
        if aperture >= self.wanted[-1]:
            return aperture * float(self.gaps[-1] / self.wanted[-1])
        return float(np.interp(aperture, self.wanted, self.gaps))


UNCORRECTED = Calibration(np.array(GAPS, np.float32), np.array(GAPS, np.float32))


def calibrate(draw: Callable[[float], Frame], see: Callable[[Frame], Array | None]) -> Calibration:
    """draw: gap → picture. see: picture → face mesh, or None where no face is found (then nothing is corrected)."""
    gaps = np.array(GAPS, np.float32)
    meshes = [see(draw(gap)) for gap in GAPS]
    if any(mesh is None for mesh in meshes):
        return UNCORRECTED
    seen = np.array([seen_aperture(mesh) for mesh in meshes if mesh is not None], np.float32)
    seen = np.maximum.accumulate(seen - seen[0])
    full = float(seen[GAPS.index(1.0)])
    if full <= 0:
        return UNCORRECTED
    rising = seen + np.arange(len(seen)) * np.float32(1e-4 * full)  # strictly, so that the inverse exists
    wanted = np.linspace(0, 1, 21, dtype=np.float32)
    needed = np.interp(wanted * full, rising, gaps)
    needed = np.clip(needed, MIN_FACTOR * wanted, MAX_FACTOR * wanted)
    needed = np.convolve(np.pad(needed, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
    needed[0], needed[-1] = 0.0, 1.0
    return Calibration(wanted, np.maximum.accumulate(needed).astype(np.float32))
