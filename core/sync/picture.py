"""Measures on pictures how far the lips are open and how wide the mouth is, with the face mesh.

Both are distances between points of the mesh in its three dimensions, over the distance of the outer corners of the eyes: the size of the
face in the picture and the turn of the head drop out.
"""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FACE_OVAL, LEFT_EYE_OUTER, RIGHT_EYE_OUTER, Landmarker
from core.lite.calibration import LOWER_LIP, UPPER_LIP
from core.types import Frame

LEFT_CORNER, RIGHT_CORNER = 61, 291
CUT_PER_FACE = 2.0
"""Side of the square that is looked at, in sides of the face: so the detector finds the face in it again, too."""
CUT_PX = 256
"""Its size when it is looked at: the mesh network sees the face in 256 pixels at most."""
ROOM_PER_FACE = 0.15
"""The square stays where it is until the face is nearer to its edge than that: a square that moves with the face moves the points."""
MOST_PATIENCE = 10
"""A face that is not found is looked for again after 1, 2, 4 and so on frames, at most so many: looking everywhere takes long."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""
Points = NDArray[np.float32]


def mouth_of(points: Points) -> tuple[float, float]:
    """Opening and width of the mouth of one mesh (478, 3), in distances of the outer corners of the eyes; usually 0..0.5 and 0.4..0.8."""
    eyes = _distance(points, LEFT_EYE_OUTER, RIGHT_EYE_OUTER)
    return _distance(points, UPPER_LIP, LOWER_LIP) / eyes, _distance(points, LEFT_CORNER, RIGHT_CORNER) / eyes


def _distance(points: Points, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a] - points[b]))


_idle: deque[Landmarker] = deque()
"""Those that no watcher uses now: loading one takes as long as five frames."""


class MouthWatcher:
    """Follows one face through the frames of a video: the largest where it begins, and where it was lost.

    A context manager. Not thread-safe.
    """

    def __init__(self) -> None:
        try:
            self._landmarker = _idle.pop()
        except IndexError:
            self._landmarker = Landmarker(min_confidence=0.4, whole=False, follows_one=True)
        self._finder: FaceFinder | None = None
        self._cut: tuple[int, int, int, int] | None = None
        self._wait = 0
        self._patience = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _idle.append(self._landmarker)

    def look(self, pixels: Frame, box: Box | None = None) -> tuple[float, float] | None:
        """Opening and width in the next frame, (H, W, 3) uint8 RGB; None where no face is found.

        box: where the face is, if that is known; it is used where the face is not followed yet, or was lost.
        """
        if self._cut is None:
            self._forget()
            self._cut = self._found(pixels) if box is None else _around(box, pixels)
        if self._cut is None:
            return None
        points = self._mesh(pixels, self._cut)
        if points is None:
            self._cut = None
            return None
        oval = points[list(FACE_OVAL), :2]
        x0, y0, x1, y1 = np.concatenate((oval.min(axis=0), oval.max(axis=0))).tolist()
        if not _holds(self._cut, (x0, y0, x1, y1), pixels):
            self._cut = _around((x0, y0, x1, y1), pixels)
            self._forget()
        return mouth_of(points)

    def _found(self, pixels: Frame) -> tuple[int, int, int, int] | None:
        """Around the largest face of the picture."""
        if self._wait > 0:
            self._wait -= 1
            return None
        self._finder = self._finder or FaceFinder()
        faces = self._finder.find(pixels)
        if not faces:
            self._wait, self._patience = self._patience, min(2 * self._patience, MOST_PATIENCE)
            return None
        self._patience = 1
        return _around(faces[0].box, pixels)

    def _forget(self) -> None:
        """A picture without a face, so that the next one is searched and not only the place where the last face was."""
        self._landmarker(np.zeros((64, 64, 3), np.uint8))

    def _mesh(self, pixels: Frame, cut: tuple[int, int, int, int]) -> Points | None:
        x0, y0, x1, y1 = cut
        scale = CUT_PX / max(x1 - x0, y1 - y0)
        size = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
        part = cv2.resize(pixels[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        found = self._landmarker(part).face_landmarks
        if not found:
            return None
        points = np.array([(p.x, p.y, p.z) for p in found[0]], np.float32) * np.array((x1 - x0, y1 - y0, x1 - x0), np.float32)
        points[:, :2] += (x0, y0)
        return points


def _around(box: Box, pixels: Frame) -> tuple[int, int, int, int]:
    """The square around a face, as far as the picture goes."""
    x0, y0, x1, y1 = box
    half = CUT_PER_FACE * max(x1 - x0, y1 - y0, 8) / 2
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    height, width = pixels.shape[:2]
    left, top = min(max(round(middle_x - half), 0), width - 8), min(max(round(middle_y - half), 0), height - 8)
    return left, top, min(max(round(middle_x + half), left + 8), width), min(max(round(middle_y + half), top + 8), height)


def _holds(cut: tuple[int, int, int, int], box: Box, pixels: Frame) -> bool:
    """Whether the face is well inside the square and fills as much of it as it should, or could not be elsewhere."""
    face = max(box[2] - box[0], box[3] - box[1])
    room = ROOM_PER_FACE * face
    height, width = pixels.shape[:2]
    inside = (
        (cut[0] == 0 or box[0] - cut[0] > room)
        and (cut[1] == 0 or box[1] - cut[1] > room)
        and (cut[2] == width or cut[2] - box[2] > room)
        and (cut[3] == height or cut[3] - box[3] > room)
    )
    return inside and max(cut[2] - cut[0], cut[3] - cut[1]) < 1.5 * CUT_PER_FACE * max(face, 8)
