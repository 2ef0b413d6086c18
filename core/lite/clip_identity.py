"""Tells by appearance whether a face in a clip is still that of the same person: a small picture of its upper half, by how it is turned."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_mesh import LEFT_EYE_OUTER, RIGHT_EYE_OUTER, Face
from core.types import Frame

Array = NDArray[np.float32]

SIDE_PX = 32
"""Of the small picture."""
NOSE_BASE = 2
PLACES = np.array([(7.0, 11.0), (25.0, 11.0), (16.0, 25.0)], np.float32)
"""Where the outer corners of the eyes and the base of the nose lie in it. The mouth is outside: it moves."""
BIN_DEG = 12.0
"""The person is remembered once for each turn of the head by so much."""
KEPT_LIKENESS = 0.9
"""What is as like as this is taken into the memory, so that it follows the light."""
RENEWED = 0.1
"""Share of a new frame in it."""
COLOUR_STEP = 25.0
"""Difference of colour (CIE a, b) that takes all likeness away."""


class Appearance:
    """One person as seen so far in a clip."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Array, Array]] = {}

    def learn(self, pixels: Frame, face: Face) -> None:
        """That `face` of this frame is the person's."""
        self._keep(face, *signature(pixels, face))

    def likeness(self, pixels: Frame, face: Face) -> float:
        """-1..1: 1 for the same picture. A person not seen yet is like anyone."""
        return self._likeness(face, *signature(pixels, face))

    def follow(self, pixels: Frame, face: Face) -> float:
        """The likeness of a face that moved here without a jump, which is learned where it is like enough."""
        structure, colour = signature(pixels, face)
        likeness = self._likeness(face, structure, colour)
        if likeness > KEPT_LIKENESS:
            self._keep(face, structure, colour)
        return likeness

    def _likeness(self, face: Face, structure: Array, colour: Array) -> float:
        """Of the picture seen at the nearest turn of the head."""
        if not self._seen:
            return 1.0
        nearest = min(self._seen, key=lambda at: abs(at - face.yaw_deg / BIN_DEG))
        known, its_colour = self._seen[nearest]
        return float((structure * known).mean()) - float(np.linalg.norm(colour - its_colour)) / COLOUR_STEP

    def _keep(self, face: Face, structure: Array, colour: Array) -> None:
        at = round(face.yaw_deg / BIN_DEG)
        if at in self._seen:
            known, its_colour = self._seen[at]
            structure = _normalised(known + np.float32(RENEWED) * (structure - known))
            colour = its_colour + np.float32(RENEWED) * (colour - its_colour)
        self._seen[at] = structure, colour


def signature(pixels: Frame, face: Face) -> tuple[Array, Array]:
    """pixels: (H, W, 3) uint8 RGB -> (32, 32) lightness, its coarse shading taken off, mean 0, deviation 1; (2,) mean a and b (CIE)."""
    found = face.points[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER, NOSE_BASE], :2].astype(np.float32)
    # Read at twice the size after a blur that fits the size of the face, so that a small and a large picture give the same.
    scale = max(1.0, face.interocular_px / 36)
    x0, y0 = np.maximum(np.floor(found.min(axis=0) - 2 * face.interocular_px), 0).astype(int)
    x1, y1 = np.ceil(found.max(axis=0) + 2 * face.interocular_px).astype(int)
    part = pixels[y0:y1, x0:x1]
    if part.size == 0:
        return np.zeros((SIDE_PX, SIDE_PX), np.float32), np.zeros(2, np.float32)
    small = cv2.resize(part, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    factor = np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]], np.float32)
    matrix = cv2.getAffineTransform((found - (x0, y0)).astype(np.float32) * factor, PLACES)
    picture = cv2.warpAffine(small, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
    lab = cv2.cvtColor(picture.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    lightness = lab[..., 0]
    colour: Array = lab[..., 1:].reshape(-1, 2).mean(axis=0)
    return _normalised(lightness - cv2.GaussianBlur(lightness, (0, 0), 5)), colour


def _normalised(picture: Array) -> Array:
    picture = picture - picture.mean()
    normalised: Array = (picture / max(float(picture.std()), 1e-3)).astype(np.float32)
    return normalised
