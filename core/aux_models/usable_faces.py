"""Says why a face that was found in a frame of a video cannot be animated there, and where a video begins another picture."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_identity import turn_deg
from core.aux_models.face_mesh import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from core.aux_models.shown_frames import Why
from core.types import Frame

MIN_EYE_DISTANCE_PX = 14.0
"""Of the outer eye corners, the turn undone. Below, a mouth has too few pixels to be drawn."""
TURNED_DEG, TURNED_BACK_DEG = 40.0, 37.0
"""A head is turned away beyond the first angle, until it is within the second."""
MAX_OUTSIDE = 0.15
"""Part of the lower face's points that may lie outside the picture."""
LOWER_FACE = (0, 13, 14, 17, 61, 291, 37, 267, 84, 314, 152, 148, 377, 176, 400, 149, 378, 172, 397)
THUMBNAIL_PX = 32
CUT, CUT_TIMES = 10.0, 4.0
"""A frame may begin another picture where half of it differs from that before by so much of 255, and so many times more than usual."""
USUAL_FRAMES = 12


class FaceJudge:
    """Judges the frames of one video, in order."""

    def __init__(self) -> None:
        self._turned = False

    def fault(self, points: NDArray[np.float32], width: int, height: int) -> Why:
        """points: (478, 3) mesh in pixels of a frame of that size. None: the face can be animated."""
        turned = abs(turn_deg(points))
        self._turned = turned > (TURNED_BACK_DEG if self._turned else TURNED_DEG)
        eyes = float(np.linalg.norm(points[RIGHT_EYE_OUTER] - points[LEFT_EYE_OUTER]))
        if eyes < MIN_EYE_DISTANCE_PX:
            return "too_small"
        if self._turned:
            return "turned_away"
        x, y = points[list(LOWER_FACE), 0], points[list(LOWER_FACE), 1]
        if float(np.mean((x < 0) | (y < 0) | (x > width) | (y > height))) > MAX_OUTSIDE:
            return "cut_off"
        return None


class PictureCuts:
    """Watches the frames of one video, in order."""

    def __init__(self) -> None:
        self._thumbnail: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=USUAL_FRAMES)

    def begins(self, frame: Frame) -> bool:
        """Whether this frame seems to show another picture than the one before: a cut, a flash, or a camera that was torn round."""
        steps = [max(1, length // (2 * THUMBNAIL_PX)) for length in frame.shape[:2]]
        small = cv2.resize(frame[:: steps[0], :: steps[1]], (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        before, self._thumbnail = self._thumbnail, small.mean(axis=2, dtype=np.float32)
        if before is None:
            return False
        change = float(np.median(np.abs(self._thumbnail - before)))
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._changes.append(change)
        return change > max(CUT, CUT_TIMES * usual)
