"""Where an eye of any kind, of an animal, a doll or a drawing, ends: the ellipse around a point that differs most from what is around it.

After the integro-differential operator (Daugman 1993), which finds irises so, with the difference of colours in the place of that of grey.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.types import Frame

REACH = 0.42
"""Half the side of what is looked at, over the distance of the eyes."""
SIDE_PX, ANGLES = 128, 48
HALF_WIDTHS = np.arange(0.2, 0.81, 0.04)
ROUNDNESS = (0.45, 0.6, 0.8, 1.0)
SHIFTS = np.linspace(-0.24, 0.24, 9)
"""Half widths, heights over widths, and places of the ellipses that are tried; lengths in halves of that side."""
INSIDE, OUTSIDE = 0.91, 1.1
"""Radii, over those of the ellipse, whose colours are compared."""
ALL_AROUND = 30
"""Percentile of the differences along the outline that counts: an eye ends on all sides, a stripe on two."""
UNLIKE_SKIN = 0.5
"""How much it counts against an outline that what is around it differs from what is around the eye, as around a pupil."""
EYE_CONTRAST = 12.0
"""Colour difference (CIE76) from which on that is an eye: a cat's have 14 and more, those of drawings 60, a cup has 9 where none is."""


@dataclass(frozen=True, eq=False)
class EyeOutline:
    """middle: (2,) pixels. half_width, half_height: along and across the line of the eyes, pixels."""

    middle: NDArray[np.float64]
    half_width: float
    half_height: float


def eye_outline(pixels: Frame, eye: NDArray[np.float64], to_other: NDArray[np.float64]) -> EyeOutline | None:
    """pixels: (H, W, 3) uint8 RGB. eye: (2,), a point near its middle. to_other: (2,), from the left eye to the right one; both pixels.

    None where nothing there ends like an eye.
    """
    reach = REACH * float(np.linalg.norm(to_other))
    right = to_other / np.linalg.norm(to_other)
    axes = reach * np.stack([right, [-right[1], right[0]]], axis=1)  # shares of the reach -> pixels
    seen = _upright(pixels, eye, axes)
    lab = cv2.cvtColor(cv2.GaussianBlur(seen, (0, 0), 1.5).astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
    tried = np.array([(a, a * q, x, y) for a, q, x, y in itertools.product(HALF_WIDTHS, ROUNDNESS, SHIFTS, SHIFTS)])
    inside, outside = _along(lab, tried, INSIDE), _along(lab, tried, OUTSIDE)
    contrast = np.percentile(np.linalg.norm(inside - outside, axis=2), ALL_AROUND, axis=1)
    border = np.concatenate([lab[[0, -1]].reshape(-1, 3), lab[:, [0, -1]].reshape(-1, 3)])
    unlike_skin = np.median(np.linalg.norm(outside - np.median(border, axis=0), axis=2), axis=1)
    best = int((contrast - UNLIKE_SKIN * unlike_skin).argmax())
    if contrast[best] < EYE_CONTRAST:
        return None
    half_width, half_height, x, y = tried[best]
    return EyeOutline(eye + axes @ np.array([x, y]), half_width * reach, half_height * reach)


def _upright(pixels: Frame, eye: NDArray[np.float64], axes: NDArray[np.float64]) -> Frame:
    """(SIDE_PX, SIDE_PX, 3): the square around an eye whose half sides are the columns of `axes`, (2, 2) pixels."""
    around = np.abs(axes).sum(axis=1) + 2
    height, width = pixels.shape[:2]
    x0, y0 = np.clip(np.floor(eye - around), 0, (width - 1, height - 1)).astype(int)
    part = pixels[y0 : int(eye[1] + around[1]) + 1, x0 : int(eye[0] + around[0]) + 1]
    scale = min(1.0, SIDE_PX / (2 * float(np.linalg.norm(axes[:, 0]))))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # an affine warp alone would alias
    to_small = np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]])
    per_px = to_small[:, None] * axes * (2 / SIDE_PX)
    start = (eye - (x0, y0)) * to_small - 0.5 + per_px @ np.full(2, 0.5 - SIDE_PX / 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = np.concatenate([per_px, start[:, None]], axis=1)
    seen: Frame = cv2.warpAffine(small, matrix, (SIDE_PX, SIDE_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return seen


def _along(lab: NDArray[np.float32], ellipses: NDArray[np.float64], radius: float) -> NDArray[np.float32]:
    """(n, ANGLES, 3): the colours on ellipses, (n, 4), whose radii are multiplied by `radius`."""
    angles = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    x = ellipses[:, 2:3] + radius * ellipses[:, 0:1] * np.cos(angles)
    y = ellipses[:, 3:4] + radius * ellipses[:, 1:2] * np.sin(angles)
    map_x, map_y = (((each + 1) / 2 * SIDE_PX - 0.5).astype(np.float32) for each in (x, y))
    colours: NDArray[np.float32] = cv2.remap(lab, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return colours
