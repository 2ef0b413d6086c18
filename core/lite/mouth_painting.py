"""Paints what the open lips of a drawn mouth show, the line where closed ones meet, and the light on rounded ones."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from core.lite.local_frame import Array, look_up, rows_between, smoothstep
from core.lite.mouth_warp import LOWER_SHADE, MouthShape, MouthWarp
from core.types import Frame

_LINE_REACH = 2.4
"""Distance from the dark line between closed lips, in its widths, from where on it changes no pixel."""

_LIT, _SHADED, _TURNED_IN = 0.07, 0.11, 0.12
"""Of lips that come forward, the middle of the lower one catches so much more light, the skin below it less, and both do at the opening."""
_SHADE_FROM = 0.1
"""Rounding from which on that is seen."""

_PARTED = 0.12
"""Gap over half the mouth's width from which on the edges of lips that come forward turn inwards."""
_NARROW_DARKENS, _WIDE_OPEN = 0.3, 0.55
"""How much darker it is between lips that are hardly parted, and the gap, over half the mouth's width, that lets in all light."""


class Interior(Protocol):
    """A picture of the inside of the mouth: its left edge in the mouth's frame, and its pixels per output pixel."""

    x0: float
    scale: float

    def picture(self, shape: MouthShape) -> tuple[Array, float]:
        """(h, w, 3) float32 RGB 0..255, of what is seen between the lips at least, and its top edge in the mouth's frame."""


def fill_mouth(drawn: Frame, mouth: MouthWarp, interior: Interior, shape: MouthShape, x: Array, y: Array, covered: Array) -> None:
    """Paints the interior over the pixels the open mouth covers, in place, and a dark line where closed lips of a smile meet.

    drawn: (h, w, 3), a part of the picture whose lips are moved. x, y, covered: of its pixels, (h, w), as `MouthWarp.source` takes and
    returns them (x of the source, y of the picture).
    """
    if not covered.size:  # a band without any of the mouth
        return
    open_rows, open_columns = (rows_between(cv2.reduce(covered, along, cv2.REDUCE_MAX).ravel() > 0) for along in (1, 0))
    if open_rows.start < open_rows.stop:
        part = open_rows, open_columns
        _fill_opening(drawn[part], mouth, interior, shape, x[part], y[part], covered[part])
    if mouth.teeth_shown:
        _darken_line(drawn, mouth, shape, x, y)
    if shape.rounding > _SHADE_FROM:
        _light_forward(drawn, mouth, shape, x, y, covered)


def _light_forward(drawn: Frame, mouth: MouthWarp, shape: MouthShape, x: Array, y: Array, covered: Array) -> None:
    """The light on lips that are pushed forward."""
    upper_edge, lower_edge = mouth.upper_outer + shape.d_upper_outer, mouth.lower_outer + shape.d_lower_outer
    below = np.float32(LOWER_SHADE * mouth.lower_lip.max())
    near = rows_between((y.max(1) > upper_edge.min()) & (y.min(1) < lower_edge.max() + below))
    if near.start == near.stop:
        return
    along = rows_between(np.abs(x[near]).min(axis=0) < mouth.half)
    part = near, along
    drawn, x, y, covered = drawn[part], x[part], y[part], covered[part]
    column = mouth.frame.index(x)
    upper, lower = look_up(shape.upper, column), look_up(shape.lower, column)
    # 0 at the opening, 1 at the lip's outer edge, on either lip
    above = (upper - y) / np.maximum(upper - look_up(upper_edge, column), 1)
    under = (y - lower) / np.maximum(look_up(lower_edge, column) - lower, 1)
    at = np.maximum(above, under)
    parted = min(shape.gap_px / (_PARTED * mouth.half), 1.0)  # lips that touch turn nothing dark in: it would look like an opening
    light = np.float32(-_TURNED_IN * parted) * np.exp(-((at / np.float32(0.3)) ** 2))
    light += np.float32(_LIT) * np.exp(-(((under - np.float32(0.5)) / np.float32(0.25)) ** 2))
    light -= np.float32(_SHADED) * np.exp(-(((under - np.float32(1.3)) / np.float32(0.35)) ** 2))
    light *= smoothstep((1 - np.abs(x) / np.float32(mouth.half)) * 2) * (1 - covered)
    light *= np.float32((shape.rounding - _SHADE_FROM) / (1 - _SHADE_FROM))
    drawn[...] = np.clip(drawn * _rgb(1 + light.astype(np.float32)) + np.float32(0.5), 0, 255).astype(np.uint8)


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
    picture, top = interior.picture(shape)
    scale = np.float32(interior.scale)
    inside = cv2.remap(
        picture,
        (x - np.float32(interior.x0)) * scale - np.float32(0.5),
        (y - np.float32(top)) * scale - np.float32(0.5),
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    depth = np.clip((y - look_up(shape.upper, mouth.frame.index(x))) / np.float32(0.16 * mouth.half), 0, 1)
    lit = 1 - _NARROW_DARKENS * (1 - float(smoothstep(np.array([shape.gap_px / (_WIDE_OPEN * mouth.half)]))[0]))
    inside *= _rgb(np.float32(0.75 * lit) + np.float32(0.25 * lit) * depth)
    drawn[...] = np.clip(drawn + (inside - drawn) * _rgb(covered) + np.float32(0.5), 0, 255).astype(np.uint8)


def _rgb(values: Array) -> Array:
    """(h, w) float32 for all three channels, (h, w, 3): a product with it takes a quarter of the time of one that is broadcast."""
    planes: Array = cv2.merge((values, values, values))
    return planes
