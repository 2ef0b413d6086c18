"""The option `landmarks`: six points of a face that is not found by itself, and the checks of their values."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.errors import FaceError, OptionError

HandLandmarks = tuple[tuple[float, float], ...]
"""Six points (x, y) in shares of the upright photo's width and height, in the order of POINTS."""
POINTS = ("left_eye", "right_eye", "left_mouth_corner", "right_mouth_corner", "lips", "chin")
"""Left and right are the viewer's; lips: the middle of the line between closed lips."""
MIN_EYES_PX, MIN_MOUTH_PX, MIN_FACE_PX = 12.0, 8.0, 16.0
"""Least distances in pixels of the photo: of the eyes, of the corners of the mouth, and from the eyes to the chin."""
MIN_EYES, MIN_MOUTH, MIN_BETWEEN, MIN_CHIN = 0.15, 0.08, 0.15, 0.03
"""The same over the distance from the eyes to the chin, with those from eyes to lips and from lips to chin, along the face."""
MAX_WIDE = 4.0
"""Most that eyes and mouth may be apart, over that distance."""

_Points = NDArray[np.float64]


def verify_landmarks(landmarks: object) -> None:
    """Raises OptionError for what is neither None nor six points within the photo."""
    if landmarks is None:
        return
    hint = "Give both eyes, both corners of the mouth, lips and chin as [x, y] in shares of the photo's width and height, 0 to 1."
    if not isinstance(landmarks, tuple) or len(landmarks) != len(POINTS):
        n = f"{len(landmarks)} entries" if isinstance(landmarks, tuple | list) else f"{str(landmarks)[:40]!r}"
        text = f"landmarks has {n} instead of {len(POINTS)} points."
        raise OptionError(text, hint, code="landmarks_count", parameters={"value": n, "needed": len(POINTS)})
    for name, point in zip(POINTS, landmarks, strict=True):
        if not _is_point(point):
            shown = str(point)[:40]
            text = f"landmarks: {name} is {shown}."
            raise OptionError(text, hint, code="landmarks_point", parameters={"point": name, "value": shown})


def _is_point(point: object) -> bool:
    """By comparisons alone, which NaN fails and which no whole number is too large for."""
    return (
        isinstance(point, tuple)
        and len(point) == 2
        and all(isinstance(each, int | float) and not isinstance(each, bool) and 0 <= each <= 1 for each in point)
    )


def hand_points(landmarks: HandLandmarks, width: int, height: int) -> _Points:
    """(6, 2) float64, pixels of a photo of that size, in the order of POINTS; eyes, and corners of the mouth, that were taken for each
    other are put right. landmarks: verified.

    Raises FaceError where they are no face: too small, one on another, or not with the eyes above the mouth above the chin, in the face's
    own upright (the photo may lie on its side).
    """
    points = np.array(landmarks, np.float64) * (width, height)
    eyes, chin = points[:2].mean(axis=0), points[5]
    length = float(np.linalg.norm(chin - eyes))
    _check_apart("chin", length, MIN_FACE_PX)
    down = (chin - eyes) / length
    right = np.array([down[1], -down[0]])
    for pair in ([0, 1], [2, 3]):
        left_x, right_x = points[pair] @ right
        if left_x > right_x:
            points[pair] = points[pair[::-1]]
    eyes_px, mouth_px = float((points[1] - points[0]) @ right), float((points[3] - points[2]) @ right)
    _check_apart("eyes", eyes_px, max(MIN_EYES_PX, MIN_EYES * length), MAX_WIDE * length)
    _check_apart("mouth", mouth_px, max(MIN_MOUTH_PX, MIN_MOUTH * length), MAX_WIDE * length)
    heights = (points - eyes) @ down / length  # 0 at the eyes, 1 at the chin
    mouth = heights[2:5].mean()
    if not (MIN_BETWEEN <= mouth <= 1 - MIN_CHIN and MIN_BETWEEN <= heights[4] <= 1 - MIN_CHIN and heights[:2].max() < heights[2:4].min()):
        text = "The points are not in the order of a face: the eyes above the lips above the chin."
        raise FaceError(text, "Move the lips between the eyes and the chin, below both eyes.", code="landmarks_order")
    lips_x, corners_x = points[4] @ right, points[2:4] @ right
    if not corners_x[0] < lips_x < corners_x[1]:
        text = "The lips are not between the corners of the mouth."
        raise FaceError(text, "Move the lips to the middle of the mouth.", code="landmarks_lips")
    return points


_BETWEEN = {"eyes": "the eyes", "mouth": "the corners of the mouth", "chin": "the middle of the eyes and the chin"}


def _check_apart(what: str, px: float, least: float, most: float = math.inf) -> None:
    """what: a key of _BETWEEN. least, most: pixels."""
    if px < least:
        text = f"Only {px:.0f} pixels lie between {_BETWEEN[what]}."
        hint = f"At least {math.ceil(least)} are needed: move the points apart, or use a picture with more pixels."
        raise FaceError(text, hint, code=f"landmarks_near_{what}", parameters={"px": round(px), "limit": math.ceil(least)})
    if px > most:
        text = f"{px:.0f} pixels lie between {_BETWEEN[what]}, which is too much for so short a face."
        hint = f"At most {math.floor(most)} are possible: move them closer, or the chin down."
        raise FaceError(text, hint, code=f"landmarks_far_{what}", parameters={"px": round(px), "limit": math.floor(most)})
