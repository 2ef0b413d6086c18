"""The image warp of the head, brows and chest, as smooth displacement fields.

The head is an ellipsoid in front of a still background: yaw and pitch shift each point by its depth, roll turns it about the neck.
The fields fade out around the head, so shoulders and background stay where they are. Fields are kept at a quarter of the resolution or
less: they have no detail to lose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from core.lite.local_frame import Array, LocalFrame, smoothstep

SAMPLES_PER_FACE = 48
"""Samples of the fields over the height of a face, or more."""
ROOM, ROOM_AROUND_MIDDLE = 0.25, 0.15
"""How far a feature is moved by the head, and how far a corner of it apart from its middle, over half its width."""
NEAREST = 0.1
"""How far above the middle of the face's height the head is nearest to the viewer, in parts of that height."""
BROWS = (46, 53, 52, 65, 55, 285, 295, 282, 283, 276)
Bounds = tuple[float, float, float, float]
"""Left, top, right, bottom."""
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
        self.step = step = max(4, 2 * int(self._face_h / SAMPLES_PER_FACE / 2))
        """Pixels from one sample of the fields to the next, an even number."""
        face_w = max(x1 - x0, 0.6 * self._face_h)
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        rows, cols = -(-height // step), -(-width // step)
        gx, gy = np.meshgrid((np.arange(-1, cols + 1) + 0.5) * step, (np.arange(-1, rows + 1) + 0.5) * step)
        # the head's outline: the face oval, with hair above and beside it
        top = cy - 0.18 * self._face_h
        rx, ry = 0.72 * face_w, np.where(gy < top, 0.74, 0.68) * self._face_h
        radius = np.sqrt(((gx - cx) / rx) ** 2 + ((gy - top) / ry) ** 2)
        weight = 1 - smoothstep(((radius - 0.92) / 0.62).astype(np.float32))
        weight = weight * (1 - smoothstep(((gy - (y1 - 0.08 * self._face_h)) / (0.42 * self._face_h)).astype(np.float32)))
        # nearest in the middle of the face: the hair above it is farther away, and moves less
        around = np.sqrt(((gx - cx) / rx) ** 2 + ((gy - cy + NEAREST * self._face_h) / (0.74 * self._face_h)) ** 2)
        depth = np.sqrt(np.clip(1 - 0.8 * np.clip(around, 0, 1.1) ** 2, 0, 1)) * 0.62 * self._face_h
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
            max(0, int(xs.min() - 1) * step),
            max(0, int(ys.min() - 1) * step),
            min(width, int(xs.max() + 2) * step),
            min(height, int(ys.max() + 2) * step),
        )
        x0, y0, x1, y1 = self.box
        part = slice(y0 // step, -(-y1 // step) + 2), slice(x0 // step, -(-x1 // step) + 2)
        self.grid = np.stack([gx[part], gy[part]]).astype(np.float32)
        self.fields = np.stack([np.stack([fields[name][0][part], fields[name][1][part]]) for name in MOTIONS]).astype(np.float32)

    def places(self, pose: HeadPose) -> Array:
        """Where samples of the picture come from, x and y in pixels, (2, rows, columns) float32: one for every `step` x `step` pixels of
        `box`, in their middle, and one more beyond each of its edges.
        """
        return _moved(self.grid, self.fields, pose)

    def samples(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Those of `places` that decide on some pixels of the box, and no others."""
        first_row, first_column = rows.start // self.step, columns.start // self.step
        return slice(first_row, -(-rows.stop // self.step) + 2), slice(first_column, -(-columns.stop // self.step) + 2)

    def at_pixels(self, places: Array, rows: slice, columns: slice) -> list[Array]:
        """What `places`, or more of such planes, are at each pixel of a part of the box: (rows, columns) float32 each."""
        return enlarged(places, self.step, *(slice(part.start + self.step, part.stop + self.step) for part in (rows, columns)))


def enlarged(planes: Iterable[Array], times: int, rows: slice, columns: slice) -> list[Array]:
    """A part of planes of samples: each stands for `times` x `times` pixels. rows, columns: of those, from the edge of the first."""
    first_row, first_column = max(rows.start // times - 1, 0), max(columns.start // times - 1, 0)
    part = slice(first_row, -(-rows.stop // times) + 1), slice(first_column, -(-columns.stop // times) + 1)
    top, left = rows.start - first_row * times, columns.start - first_column * times
    inside = slice(top, top + rows.stop - rows.start), slice(left, left + columns.stop - columns.start)
    return [cv2.resize(plane[part], None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR)[inside] for plane in planes]


class FeaturePlaces:
    """The places of a feature, in its own frame. bounds: of it in the frame."""

    def __init__(self, head: HeadWarp, frame: LocalFrame, bounds: Bounds) -> None:
        self._box, self._step, self._half = head.box, head.step, frame.half
        (self._x, self._y), (self._ax, self._ay), (self._bx, self._by) = frame.origin.tolist(), frame.ex.tolist(), frame.ey.tolist()
        x0, y0, x1, y1 = head.box
        self.part = self._region(bounds, ROOM, slice(0, y1 - y0), slice(0, x1 - x0))
        """Rows and columns of the head's box that hold the feature, however the head moves."""
        self.samples = head.samples(*self.part)
        """Of `HeadWarp.places`."""
        axes = np.stack([frame.ex, frame.ey])
        self._grid = np.einsum("ij,jrc->irc", axes, head.grid[:, *self.samples] - frame.origin[:, None, None])
        self._fields = np.einsum("ij,mjrc->mirc", axes, head.fields[:, :, *self.samples])
        self._middle = tuple(np.unravel_index((self._grid**2).sum(axis=0).argmin(), self._grid.shape[1:]))
        """The sample nearest to the middle of the feature."""

    def region(self, bounds: Bounds, local: Array) -> tuple[slice, slice]:
        """Rows and columns of the head's box that show some of the feature. bounds: as of it; local: as of `at`."""
        x, y = (float(local[plane, *self._middle] - self._grid[plane, *self._middle]) for plane in (0, 1))
        left, top, right, bottom = bounds
        return self._region((left - x, top - y, right - x, bottom - y), ROOM_AROUND_MIDDLE, *self.part)

    def _region(self, bounds: Bounds, room_per_half: float, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Those of some rows and columns of the head's box that hold the bounds."""
        left, top, right, bottom = bounds
        room = room_per_half * self._half + 2
        xs = [self._x + x * self._ax + y * self._bx - self._box[0] for x in (left, right) for y in (top, bottom)]
        ys = [self._y + x * self._ay + y * self._by - self._box[1] for x in (left, right) for y in (top, bottom)]
        return _within(min(ys) - room, max(ys) + room, rows), _within(min(xs) - room, max(xs) + room, columns)

    def at(self, pose: HeadPose) -> Array:
        """Samples as of `HeadWarp.places`, those in `samples`, in coordinates of the frame."""
        return _moved(self._grid, self._fields, pose)

    def at_pixels(self, planes: Iterable[Array], part: tuple[slice, slice], finer: int = 1) -> list[Array]:
        """Planes as of `at`, or with `finer` x `finer` samples for each, at pixels of a part of the head's box that lies in `self.part`."""
        rows, columns = (
            slice(pixels.start - (samples.start - 1) * self._step, pixels.stop - (samples.start - 1) * self._step)
            for pixels, samples in zip(part, self.samples, strict=True)
        )
        return enlarged(planes, self._step // finer, rows, columns)


def _within(low: float, high: float, pixels: slice) -> slice:
    """Those of some pixels that are between low and high, one at least."""
    first, last = pixels.start, pixels.stop
    return slice(min(max(math.floor(low), first), last - 1), min(max(math.ceil(high), first + 1), last))


def _moved(grid: Array, fields: Array, pose: HeadPose) -> Array:
    amounts = np.array([getattr(pose, name) for name in MOTIONS], np.float32)
    moved = np.einsum("m,mn->n", amounts, fields.reshape(len(MOTIONS), -1))  # as fast as `@`, and alike on every processor
    places: Array = grid - moved.reshape(grid.shape)
    return places
