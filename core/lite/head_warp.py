"""The image warp of the head, brows and chest, as smooth displacement fields.

The head is an ellipsoid in front of a still background: yaw and pitch shift each point by its depth, roll turns it about the neck.
The fields fade out around the head, so shoulders and background stay where they are. Fields are kept at a quarter of the
resolution: they have no detail to lose.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.lite.local_frame import Array, smoothstep

COARSE = 4
BROWS = (46, 53, 52, 65, 55, 285, 295, 282, 283, 276)
MOTIONS = ("yaw", "pitch", "roll", "shift_x", "shift_y", "brow")


@dataclass(frozen=True)
class HeadPose:
    """Movement of one frame from the photo's own pose. Angles in degrees (yaw to the viewer's right, pitch down, roll clockwise),
    shifts and brow raise as parts of the face's height."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    brow: float = 0.0


class HeadWarp:
    """points: (478, 3) mesh in output pixels; face_box: x0, y0, x1, y1 of the face oval; size of the output in pixels."""

    def __init__(self, points: Array, face_box: tuple[float, float, float, float], width: int, height: int) -> None:
        x0, y0, x1, y1 = face_box
        self._face_h = y1 - y0
        face_w = max(x1 - x0, 0.6 * self._face_h)
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        rows, cols = -(-height // COARSE), -(-width // COARSE)
        gx, gy = np.meshgrid((np.arange(-1, cols + 1) + 0.5) * COARSE, (np.arange(-1, rows + 1) + 0.5) * COARSE)
        # the head's outline: the face oval, with hair above and beside it
        top = cy - 0.18 * self._face_h
        rx, ry = 0.72 * face_w, np.where(gy < top, 0.74, 0.68) * self._face_h
        radius = np.sqrt(((gx - cx) / rx) ** 2 + ((gy - top) / ry) ** 2)
        weight = 1 - smoothstep(((radius - 0.92) / 0.62).astype(np.float32))
        weight = weight * (1 - smoothstep(((gy - (y1 - 0.08 * self._face_h)) / (0.42 * self._face_h)).astype(np.float32)))
        depth = np.sqrt(np.clip(1 - 0.8 * np.clip(radius, 0, 1.1) ** 2, 0, 1)) * 0.62 * self._face_h
        pivot_x, pivot_y = cx, y1 + 0.25 * self._face_h
        degree = np.pi / 180
        brow_line = points[list(BROWS), :2].mean(axis=0)
        brow = np.exp(-(((gx - cx) / (0.42 * face_w)) ** 4) - ((gy - brow_line[1]) / (0.13 * self._face_h)) ** 2)
        zero = np.zeros_like(gx)
        fields = {
            "yaw": (depth * degree * weight, zero),
            "pitch": (zero, (depth * degree + 0.1 * (pivot_y - gy) * degree) * weight),
            "roll": (-(gy - pivot_y) * degree * weight, (gx - pivot_x) * degree * weight),
            "shift_x": (self._face_h * weight, zero),
            "shift_y": (zero, self._face_h * weight),
            "brow": (zero, -self._face_h * brow),
        }
        moving = ((weight > 0) | (brow > 0.01))[1:-1, 1:-1]
        ys, xs = np.nonzero(moving)
        self.box = (
            max(0, int(xs.min() - 1) * COARSE),
            max(0, int(ys.min() - 1) * COARSE),
            min(width, int(xs.max() + 2) * COARSE),
            min(height, int(ys.max() + 2) * COARSE),
        )
        x0, y0, x1, y1 = self.box
        part = slice(y0 // COARSE, -(-y1 // COARSE) + 2), slice(x0 // COARSE, -(-x1 // COARSE) + 2)
        self._grid = np.stack([gx[part], gy[part]]).astype(np.float32)
        self._fields = np.stack([np.stack([fields[name][0][part], fields[name][1][part]]) for name in MOTIONS]).astype(np.float32)

    def places(self, pose: HeadPose) -> Array:
        """Where samples of the picture come from, x and y in pixels, (2, rows, columns) float32: one for every COARSE x COARSE pixels of
        `box`, in their middle, and one more beyond each of its edges.
        """
        amounts = np.array([getattr(pose, name) for name in MOTIONS], np.float32)
        moved = np.einsum("m,mn->n", amounts, self._fields.reshape(len(MOTIONS), -1))  # as fast as `@`, and alike on every processor
        places: Array = self._grid - moved.reshape(self._grid.shape)
        return places


def at_pixels(places: Array, rows: slice, columns: slice) -> tuple[Array, Array]:
    """What samples as of `HeadWarp.places` are at each pixel of a part of the box: x and y, (rows, columns) float32 each."""
    first_row, first_column = rows.start // COARSE, columns.start // COARSE
    part = places[:, first_row : -(-rows.stop // COARSE) + 2, first_column : -(-columns.stop // COARSE) + 2]
    size = (part.shape[2] * COARSE, part.shape[1] * COARSE)
    top, left = rows.start - COARSE * (first_row - 1), columns.start - COARSE * (first_column - 1)
    fine = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in part]
    inside = slice(top, top + rows.stop - rows.start), slice(left, left + columns.stop - columns.start)
    return fine[0][inside], fine[1][inside]
