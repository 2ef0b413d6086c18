"""A coordinate frame laid on a mouth or an eye, and curves in it as lookup tables.

x runs from the feature's left corner to its right one (the viewer's), y down the face; the origin is the middle of the corners.
All lengths are output pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""float32 unless said otherwise."""

STEPS_PER_PX = 4
"""Resolution of a curve's table: finer than the eye, coarse enough to stay in the cache."""


class LocalFrame:
    """Origin and axes of a feature with corners `left` and `right` ((2,) pixels), and tables over x in -reach..reach."""

    def __init__(self, left: Array, right: Array, reach_per_half: float) -> None:
        self.origin = ((left + right) / 2).astype(np.float32)
        self.half = float(np.linalg.norm(right - left)) / 2
        self.ex = ((right - left) / (2 * self.half)).astype(np.float32)
        self.ey = np.array([-self.ex[1], self.ex[0]], np.float32)
        self.reach = reach_per_half * self.half
        count = int(np.ceil(2 * self.reach * STEPS_PER_PX)) + 1
        self.x = np.linspace(-self.reach, self.reach, count, dtype=np.float32)
        self._per_px = (count - 1) / (2 * self.reach)

    def local(self, points: Array) -> Array:
        """(n, 2) pixels → (n, 2) frame coordinates."""
        rel = points - self.origin
        return np.stack([rel @ self.ex, rel @ self.ey], axis=-1).astype(np.float32)

    def index(self, x: Array) -> Array:
        """Table index (intp) of each x; `look_up` takes it, and clips it to the table."""
        position = x * np.float32(self._per_px)
        position += np.float32(self.reach * self._per_px + 0.5)
        indices: Array = position.astype(np.intp)
        return indices

    def curve(self, points: Array, smooth: float = 0.06) -> Array:
        """Table of the smooth curve through `points` (frame coordinates), 0 at and beyond the corners.

        smooth: width of the smoothing over the half width; it rounds the corners of the polyline.
        """
        inside = points[np.abs(points[:, 0]) < 0.995 * self.half]
        order = np.argsort(inside[:, 0])
        xs = np.concatenate([[-self.half], inside[order, 0], [self.half]])
        ys = np.concatenate([[0.0], inside[order, 1], [0.0]])
        table = np.interp(self.x, xs, ys, left=0.0, right=0.0).astype(np.float32)
        sigma = max(smooth * self.half * STEPS_PER_PX, 0.5)
        rounded: Array = cv2.GaussianBlur(table[None], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0]
        return rounded


def look_up(table: Array, indices: Array) -> Array:
    """table[indices], (n,) or (n, k), and its ends beyond it; without a check of each index it takes a third of the time."""
    return table.take(indices, axis=0, mode="clip")


def clipped(values: Array, low: float, high: float) -> Array:
    """`values` between low and high, in place; the method takes half the time of `np.clip`, here as in all that is done for each frame."""
    return values.clip(low, high, out=values)


def smoothstep(t: Array) -> Array:
    """0 below 0, 1 above 1, with zero slope at both ends."""
    t = t.clip(0, 1)
    slope = t * -2
    slope += 3
    t *= t
    t *= slope
    return np.asarray(t, np.float32)


def rows_between(chosen: Any) -> slice:
    """The rows from the first to the last for which `chosen`, (n,) bool, is true; an empty slice where it is true for none."""
    first = int(chosen.argmax()) if len(chosen) else 0
    if not len(chosen) or not chosen[first]:
        return slice(0, 0)
    return slice(first, len(chosen) - int(chosen[::-1].argmax()))


def points_of(points: Array, indices: Sequence[int]) -> Array:
    """x and y of some mesh points, (n, 2)."""
    return points[list(indices), :2]


def to_local(frame: LocalFrame, x: Array, y: Array) -> tuple[Array, Array]:
    """Pixel positions in frame coordinates."""
    rel_x, rel_y = x - frame.origin[0], y - frame.origin[1]
    return rel_x * frame.ex[0] + rel_y * frame.ex[1], rel_x * frame.ey[0] + rel_y * frame.ey[1]


def move(frame: LocalFrame, x: Array, y: Array, dx: Array, dy: Array) -> None:
    """Adds a displacement given in frame coordinates to pixel positions, in place."""
    x += dx * frame.ex[0] + dy * frame.ey[0]
    y += dx * frame.ex[1] + dy * frame.ey[1]


def texture_matrix(frame: LocalFrame, scale: float) -> Array:
    """(2, 3) float64: from frame coordinates to a texture of `scale` pixels for one of the picture, whose first has its middle at 0."""
    matrix = np.stack([frame.ex, frame.ey, frame.origin], axis=1).astype(np.float64) * scale
    matrix[:, 2] -= 0.5
    return matrix


def places_in(matrix: Array, x: Array, y: Array) -> Array:
    """(rows, columns, 2) for `cv2.remap`, of x and y, (rows, columns) each in frame coordinates. matrix: as of `texture_matrix`."""
    places: Array = cv2.transform(cv2.merge((x, y)), matrix)
    return places
