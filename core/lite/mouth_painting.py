"""Paints what the open lips of a drawn mouth show, the line where closed ones meet, and the light on rounded ones."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from core.lite.local_frame import Array, clipped, look_up, rows_between, smoothstep
from core.lite.mouth_shape import MouthShape, MouthSource
from core.lite.mouth_warp import LOWER_SHADE, SHADE_FROM, MouthWarp
from core.types import Frame

_LINE_REACH = 2.4
"""Distance from the dark line between closed lips, in its widths, from where on it changes no pixel."""

_LIT, _SHADED, _TURNED_IN = 0.07, 0.11, 0.12
"""Of lips that come forward, the middle of the lower one catches so much more light, the skin below it less, and both do at the opening."""
_PARTED = 0.12
"""Gap over half the mouth's width from which on the edges of lips that come forward turn inwards."""
_NARROW_DARKENS, _WIDE_OPEN = 0.3, 0.55
"""How much darker it is between lips that are hardly parted, and the gap, over half the mouth's width, that lets in all light."""


class Interior(Protocol):
    """The inside of the mouth."""

    def colours(self, shape: MouthShape, x: Array, y: Array) -> Array:
        """What is seen of it at (x, y) of the mouth's frame, (h, w) each, where lips leave it free: (h, w, 3) float32 RGB 0..255."""


def fill_mouth(drawn: Frame, mouth: MouthWarp, interior: Interior, shape: MouthShape, source: MouthSource, y: Array) -> None:
    """Paints the interior over the pixels the open mouth covers, in place, and a dark line where closed lips of a smile meet.

    drawn: (h, w, 3), a part of the picture whose lips are moved. source: of its pixels; y: where they are, (h, w), frame coordinates.
    """
    if not y.size:  # a band without any of the mouth
        return
    open_rows = rows_between(source.covered.max(axis=1) > 0)
    if open_rows.start < open_rows.stop:
        part = open_rows, rows_between(source.covered[open_rows].max(axis=0) > 0)
        _fill_opening(drawn[part], mouth, interior, shape, _part(source, part), y[part])
    if mouth.teeth_shown:
        _darken_line(drawn, mouth, shape, source, y)
    if shape.rounding > SHADE_FROM:
        _light_forward(drawn, mouth, shape, source, y)


def _part(source: MouthSource, part: tuple[slice, slice]) -> MouthSource:
    return MouthSource(*(plane[part] for plane in source))


def _light_forward(drawn: Frame, mouth: MouthWarp, shape: MouthShape, source: MouthSource, y: Array) -> None:
    """The light on lips that are pushed forward."""
    upper_edge, lower_edge = mouth.upper_outer + shape.d_upper_outer, mouth.lower_outer + shape.d_lower_outer
    below = np.float32(LOWER_SHADE * mouth.lower_lip.max())
    near = rows_between((y.max(1) > upper_edge.min()) & (y.min(1) < lower_edge.max() + below))
    if near.start == near.stop:
        return
    part = near, rows_between(np.abs(source.x[near]).min(axis=0) < mouth.half)
    drawn, y, (x, _, column, covered) = drawn[part], y[part], _part(source, part)
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
    light *= np.float32((shape.rounding - SHADE_FROM) / (1 - SHADE_FROM))
    light += 1
    lit = _rgb(light)
    lit *= drawn
    lit += np.float32(0.5)
    drawn[...] = clipped(lit, 0, 255)


def _darken_line(drawn: Frame, mouth: MouthWarp, shape: MouthShape, source: MouthSource, y: Array) -> None:
    """Between the closed lips of a smile."""
    width = np.float32(max(0.035 * mouth.half, 0.7))
    middles = (shape.upper + shape.lower) * np.float32(0.5)
    ends = clipped(1.06 - np.abs(mouth.frame.x) / np.float32(mouth.half), 0, 0.3) / np.float32(0.3)
    strength = clipped(1 - (shape.lower - shape.upper) / (2 * width), 0, 1) * ends * np.float32(0.4 * mouth.teeth_shown)
    closed = middles[rows_between(strength > 0)]
    if not len(closed):
        return
    reach = _LINE_REACH * width
    near = rows_between((y.max(1) > closed.min() - reach) & (y.min(1) < closed.max() + reach))
    if near.start == near.stop:
        return
    drawn, column = drawn[near], source.column[near]
    line = y[near] - look_up(middles, column)
    line *= 1 / width
    line *= line
    line = np.exp(np.negative(line, out=line), out=line)
    line *= look_up(strength, column)
    left = _rgb(1 - line)
    left *= drawn
    left += np.float32(0.5)
    drawn[...] = left


def _fill_opening(drawn: Frame, mouth: MouthWarp, interior: Interior, shape: MouthShape, source: MouthSource, y: Array) -> None:
    inside = interior.colours(shape, source.x, y)
    depth = clipped((y - look_up(shape.upper, source.column)) / np.float32(0.16 * mouth.half), 0, 1)
    lit = 1 - _NARROW_DARKENS * (1 - float(smoothstep(np.array([shape.gap_px / (_WIDE_OPEN * mouth.half)]))[0]))
    inside *= _rgb(np.float32(0.75 * lit) + np.float32(0.25 * lit) * depth)
    inside -= drawn
    inside *= _rgb(source.covered)
    inside += drawn
    inside += np.float32(0.5)
    drawn[...] = clipped(inside, 0, 255)


def _rgb(values: Array) -> Array:
    """(h, w) float32 for all three channels, (h, w, 3): a product with it takes a quarter of the time of one that is broadcast."""
    planes: Array = cv2.merge((values, values, values))
    return planes
