"""Follows one face from frame to frame of a video, with the detector only where it is lost."""

from __future__ import annotations

import cv2
import numpy as np

from core.aux_models.face_mesh import CONFIDENCE, Face, Landmarker, faces_of
from core.types import Frame

FOLLOWED_PX = 320
"""A face that is followed is looked for in a square of this size or nearly twice that; the mesh network takes three quarters of it."""
FOLLOWED_REACH, ALONE_REACH = 2.0, 1.5
"""Its side, in sides of the face, and that of what is left around a face that is to be found alone."""
SIDE_KEPT = 1.15
"""The square keeps its size until the face is larger or smaller by this factor."""


class FaceFollower:
    """Follows one face through the frames of a video; its points are not smoothed. Not thread-safe. To be closed."""

    def __init__(self) -> None:
        self._landmarker = Landmarker(min_confidence=CONFIDENCE, whole=True, follows_one=True)
        self._side = 0.0

    def start(self, pixels: Frame, face: Face) -> Face | None:
        """Follows `face` of this frame, (H, W, 3) uint8 RGB, from now on; None where it is not found again in its own pixels."""
        self._landmarker(np.zeros((FOLLOWED_PX, FOLLOWED_PX, 3), np.uint8))  # forgets the face before
        self._side = 0.0
        return self._look(pixels, face.box, alone=True)

    def follow(self, pixels: Frame, last: Face) -> Face | None:
        """The face in the next frame. last: where it was seen last; None: it is lost, and `start` is needed."""
        return self._look(pixels, last.box)

    def close(self) -> None:
        self._landmarker.close()

    def _look(self, pixels: Frame, box: tuple[float, float, float, float], alone: bool = False) -> Face | None:
        """alone: what is beside the face is blackened, so that none other is found."""
        x0, y0, x1, y1 = box
        reach = FOLLOWED_REACH * max(x1 - x0, y1 - y0)
        if not 1 / SIDE_KEPT < self._side / max(reach, 8.0) < SIDE_KEPT:  # else kept: a cut that pulsates moves the points
            self._side = max(reach, 8.0)
        shrink = max(1, int(self._side / FOLLOWED_PX))  # a whole number: much faster than any other
        side = max(round(self._side / shrink), 8) * shrink
        left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
        cut = _padded(pixels, left, top, side)
        if alone:
            edge = round(side * (1 - ALONE_REACH / FOLLOWED_REACH) / 2)
            inner = np.zeros_like(cut)
            inner[edge : side - edge, edge : side - edge] = cut[edge : side - edge, edge : side - edge]
            cut = inner
        shown = max(side // shrink, FOLLOWED_PX)
        scale = shown / side
        picture = cv2.resize(cut, (shown, shown), interpolation=cv2.INTER_AREA if shrink > 1 else cv2.INTER_LINEAR)
        found = faces_of(self._landmarker(picture), picture, scale, left, top)
        return found[0] if found else None


def _padded(pixels: Frame, left: int, top: int, side: int) -> Frame:
    """A square of the picture, black where it reaches over its edges."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if (x0, y0, x1, y1) == (left, top, left + side, top + side):
        return pixels[y0:y1, x0:x1]
    cut = np.zeros((side, side, 3), np.uint8)
    if x1 > x0 and y1 > y0:
        cut[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0:y1, x0:x1]
    return cut
