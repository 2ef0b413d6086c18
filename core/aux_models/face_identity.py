"""Tells by appearance whether a face in a video is still that of the same person: by the directions of edges in its upper half.

The signature is a histogram of oriented gradients (Dalal and Triggs, CVPR 2005) of the face laid upright by eyes and nose. It recognises a
person who looks as they did before: one person in other light, sharpness, size and expression is 0.8 and more alike, two persons 0.5 and
less, but so is one person seen from another side. So a head that turns while it is followed is learned on the way.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_mesh import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from core.types import Frame

Array = NDArray[np.float32]

SIDE_PX, CELL_PX, DIRECTIONS = 48, 8, 8
NOSE_BASE = 2
PLACES = np.array([(10.5, 16.5), (37.5, 16.5), (24.0, 37.5)], np.float32)
"""Where the outer corners of the eyes and the base of the nose lie in the upright picture. The mouth, which moves, is outside."""
LEAST_GRADIENT = 0.05
"""Added to the length of a cell's histogram: a cell without edges stays short."""
TURN_DEG = 12.0
"""The person is remembered once for each turn of the head by so much."""
ALIKE, STILL_ALIKE = 0.6, 0.45
"""Likeness that a face needs to be taken for the person's: found anew, and merely followed from the frame before."""
RECENT_FRAMES, STEADY = 3, 0.7
"""A followed face that is as like as this to what it was so many frames ago changes as a head that turns, not as one that is replaced."""
LEARNED, RENEWED = 0.85, 0.1
"""A face as like as the first is learned, to follow the light; the second is its share in what is remembered of late."""


class Appearance:
    """One person as seen so far in a video.

    pixels: (H, W, 3) uint8 RGB. points: (478, 3) float32 mesh in its pixels, z in the same unit.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Array, Array]] = {}  # by turn of the head: as seen first, and of late
        self._recent: deque[Array] = deque(maxlen=RECENT_FRAMES)

    def learn(self, pixels: Frame, points: Array) -> None:
        """That this face is the person's."""
        self._keep(_turn(points), signature(pixels, points))

    def likeness(self, pixels: Frame, points: Array) -> float:
        """-1..1: 1 for the same picture. A person not seen yet is like anyone."""
        return self._likeness(_turn(points), signature(pixels, points))

    def goes_on(self, pixels: Frame, points: Array, alone: bool) -> bool:
        """Whether a face that was followed here without a jump is still the person's. alone: no other face is near, to take its place.

        What is new of a face that is theirs is learned: other light, and alone another turn of the head.
        """
        turn, found = _turn(points), signature(pixels, points)
        likeness = self._likeness(turn, found)
        steady = alone and bool(self._recent) and float(found @ self._recent[0]) >= STEADY
        if likeness < STILL_ALIKE and not steady:
            return False
        if steady or likeness > LEARNED:
            self._keep(turn, found)
        self._recent.append(found)
        return True

    def lost(self) -> None:
        """The face was not followed: the next one does not go on from here."""
        self._recent.clear()

    def _likeness(self, turn: int, found: Array) -> float:
        """To the person at the nearest turn of the head that was seen."""
        if not self._seen:
            return 1.0
        return max(float(found @ seen) for seen in self._seen[min(self._seen, key=lambda seen: abs(seen - turn))])

    def _keep(self, turn: int, found: Array) -> None:
        first, late = self._seen.get(turn, (found, found))
        self._seen[turn] = first, _unit(late + np.float32(RENEWED) * (found - late))


def signature(pixels: Frame, points: Array) -> Array:
    """pixels: (H, W, 3) uint8 RGB -> (288,) float32 of length 1; all 0 where the face is outside the picture."""
    found = points[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER, NOSE_BASE], :2]
    height, width = pixels.shape[:2]
    reach = float(np.linalg.norm(found[1] - found[0]))
    x0, y0 = (max(0, int(low - reach)) for low in found.min(axis=0))
    x1, y1 = (min(limit, int(high + reach) + 1) for high, limit in zip(found.max(axis=0), (width, height), strict=True))
    if x1 <= x0 or y1 <= y0:
        return np.zeros(SIDE_PX // CELL_PX * (SIDE_PX // CELL_PX) * DIRECTIONS, np.float32)
    shrink = max(1, int(reach / (PLACES[1, 0] - PLACES[0, 0])))  # a whole number: much faster than any other
    columns, rows = max((x1 - x0) // shrink, 1), max((y1 - y0) // shrink, 1)
    part, corners = pixels[y0 : y0 + rows * shrink, x0 : x0 + columns * shrink], (found - (x0, y0)).astype(np.float32) / shrink
    if shrink > 1:
        part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    matrix = cv2.getAffineTransform(corners, PLACES)
    upright = cv2.warpAffine(part, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
    # Gradients of the logarithm do not depend on how bright the light is.
    light = cv2.GaussianBlur(np.log1p(cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY).astype(np.float32)), (0, 0), 1)
    dx, dy = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    direction = ((np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * DIRECTIONS).astype(np.intp) % DIRECTIONS
    cells = SIDE_PX // CELL_PX
    at = np.arange(SIDE_PX) // CELL_PX
    place = (at[:, None] * cells + at[None, :]) * DIRECTIONS + direction
    counts = np.bincount(place.ravel(), np.hypot(dx, dy).ravel(), cells * cells * DIRECTIONS).reshape(-1, DIRECTIONS)
    bounded = counts / (np.linalg.norm(counts, axis=1, keepdims=True) + LEAST_GRADIENT * CELL_PX)
    return _unit((bounded - bounded.mean()).ravel().astype(np.float32))


def turn_deg(points: Array) -> float:
    """How far the head is turned to the viewer's right, by the depth of the eyes in the mesh, degrees."""
    across = points[RIGHT_EYE_OUTER] - points[LEFT_EYE_OUTER]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def _turn(points: Array) -> int:
    return round(turn_deg(points) / TURN_DEG)


def _unit(vector: Array) -> Array:
    unit: Array = vector / np.float32(max(float(np.linalg.norm(vector)), 1e-6))
    return unit
