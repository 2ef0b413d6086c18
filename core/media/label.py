"""Draws the visible label, a small translucent "AI" in the lower left corner of a frame.

It is drawn from distances to line strokes, so it needs no font, looks alike at every size and is the same to the bit everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.media.overlay import Overlay

_HEIGHT, _LEAST_HEIGHT_PX = 0.07, 12
"""Height of the label as a share of the picture's shorter side, and its least height in pixels, at which the letters can be read."""
_MARGIN, _WIDTH = 0.35, 1.75
"""Distance from the corner and width of the pill, in its heights."""
_DARKENING, _RIM, _RIM_STRENGTH = 0.62, 0.055, 0.45
"""How opaque the dark pill is; width (in heights) and opacity of its light rim, by which it is seen on black."""
_CAPITALS, _STROKE = 0.46, 0.105
"""Height and line width of the letters, in heights of the pill."""
_STROKES = (((0, 1), (0.42, 0)), ((0.42, 0), (0.84, 1)), ((0.17, 0.68), (0.67, 0.68)), ((1.28, 0), (1.28, 1)))
"""A, then I: lines from (x, y) to (x, y) in heights of a capital, from its upper left corner."""
_TEXT_WIDTH = 1.28


class Label(Overlay):
    """The label for pictures of one size, prepared once."""

    def __init__(self, width: int, height: int) -> None:
        tall = max(_LEAST_HEIGHT_PX, round(_HEIGHT * min(width, height)))
        wide, margin = round(_WIDTH * tall), round(_MARGIN * tall)
        super().__init__(height - margin - tall, margin, *_layers(tall, wide))


def _layers(tall: int, wide: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Opacity of the white (letters, rim) and of the black beneath it, (tall, wide) each, 0..1."""
    y, x = np.mgrid[0.5:tall, 0.5:wide]
    radius = tall / 2
    inward = radius - _distance(x, y, (radius, radius), (wide - radius, radius))  # from the pill's edge, in pixels
    inside = np.clip(inward + 0.5, 0, 1)
    rim = inside * np.clip(max(_RIM * tall, 1.0) - inward + 0.5, 0, 1) * _RIM_STRENGTH
    capital, half_stroke = _CAPITALS * tall, max(_STROKE * tall, 1.25) / 2
    left, top = (wide - _TEXT_WIDTH * capital) / 2, (tall - capital) / 2
    away = np.full((tall, wide), np.inf)
    for (x0, y0), (x1, y1) in _STROKES:
        line = _distance(x, y, (left + x0 * capital, top + y0 * capital), (left + x1 * capital, top + y1 * capital))
        away = np.minimum(away, line)
    return np.maximum(rim, np.clip(half_stroke - away + 0.5, 0, 1)), inside * _DARKENING


def _distance(x: NDArray[np.float64], y: NDArray[np.float64], start: tuple[float, float], end: tuple[float, float]) -> NDArray[np.float64]:
    """Distances of the points from the line between `start` and `end`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    distance: NDArray[np.float64] = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
    return distance
