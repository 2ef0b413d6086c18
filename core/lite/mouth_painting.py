"""Paints what the open lips of a drawn mouth show, and the line where closed ones meet."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from core.lite.local_frame import Array, look_up, rows_between
from core.lite.mouth_warp import MouthShape, MouthWarp
from core.types import Frame

_LINE_REACH = 2.4
"""Distance from the dark line between closed lips, in its widths, from where on it changes no pixel."""


class Interior(Protocol):
    """A picture of the inside of the mouth: its left and top edge in the mouth's frame, and its pixels per output pixel."""

    x0: float
    y0: float
    scale: float

    def picture(self, shape: MouthShape) -> Array:
        """(h, w, 3) float32 RGB 0..255."""


def fill_mouth(drawn: Frame, mouth: MouthWarp, interior: Interior, shape: MouthShape, x: Array, y: Array, covered: Array) -> None:
    """Paints the interior over the pixels the open mouth covers, in place, and a dark line where closed lips of a smile meet.

    drawn: (h, w, 3), a part of the picture whose lips are moved. x, y, covered: of its pixels, (h, w), as `MouthWarp.source` takes and
    returns them (x of the source, y of the picture).
    """
    open_rows = np.flatnonzero(covered.any(axis=1))
    if len(open_rows):
        open_columns = np.flatnonzero(covered.any(axis=0))
        part = slice(open_rows[0], open_rows[-1] + 1), slice(open_columns[0], open_columns[-1] + 1)
        _fill_opening(drawn[part], mouth, interior, shape, x[part], y[part], covered[part])
    if mouth.teeth_shown:
        _darken_line(drawn, mouth, shape, x, y)


def _darken_line(drawn: Frame, mouth: MouthWarp, shape: MouthShape, x: Array, y: Array) -> None:
    """Between the closed lips of a smile."""
    width = np.float32(max(0.035 * mouth.half, 0.7))
    middles, gaps = (shape.upper + shape.lower) * np.float32(0.5), shape.lower - shape.upper
    if gaps.min() >= 2 * width:
        return
    reach = _LINE_REACH * width
    near = rows_between((y.max(1) > middles.min() - reach) & (y.min(1) < middles.max() + reach))
    if near.start == near.stop:
        return
    drawn, x, y = drawn[near], x[near], y[near]
    column = mouth.frame.index(x)
    middle, gap = look_up(middles, column), look_up(gaps, column)
    ends = np.clip(1.06 - np.abs(x) / np.float32(mouth.half), 0, 0.3) / np.float32(0.3)
    strength = np.float32(0.4 * mouth.teeth_shown)
    line = np.exp(-(((y - middle) / width) ** 2)) * np.clip(1 - gap / (2 * width), 0, 1) * ends * strength
    drawn[...] = (drawn * _rgb(1 - line) + np.float32(0.5)).astype(np.uint8)


def _fill_opening(
    drawn: Frame, mouth: MouthWarp, interior: Interior, shape: MouthShape, x: Array, y: Array, covered: Array
) -> None:
    picture = interior.picture(shape)
    scale = np.float32(interior.scale)
    inside = cv2.remap(
        picture,
        (x - np.float32(interior.x0)) * scale - np.float32(0.5),
        (y - np.float32(interior.y0)) * scale - np.float32(0.5),
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    depth = np.clip((y - look_up(shape.upper, mouth.frame.index(x))) / np.float32(0.16 * mouth.half), 0, 1)
    inside *= _rgb(np.float32(0.75) + np.float32(0.25) * depth)
    drawn[...] = np.clip(drawn + (inside - drawn) * _rgb(covered) + np.float32(0.5), 0, 255).astype(np.uint8)


def _rgb(values: Array) -> Array:
    """(h, w) float32 for all three channels, (h, w, 3): a product with it takes a quarter of the time of one that is broadcast."""
    planes: Array = cv2.merge((values, values, values))
    return planes
