"""Turns a photo upright in which the person lies on the side or stands on the head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.aux_models.face_mesh import Face, FaceFinder
from core.notices import notice
from core.picture_options import Crop
from core.types import Frame

LIES_DEG = 50.0
"""A head rolled further lies; one that is merely tilted stays as it is."""
LOOKED_AT_PX = 960
"""Longer side at which a photo without a face is looked at from the other sides: the detector misses many faces that lie."""


@dataclass(frozen=True, eq=False)
class UprightPhoto:
    """pixels: (H, W, 3) uint8 RGB. faces: in them, the largest first. quarters: turns counterclockwise by which they came about, 0..3."""

    pixels: Frame
    faces: list[Face]
    quarters: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        return (notice("photo_turned"),) if self.quarters else ()

    def given(self, part: Crop) -> Crop:
        """Where a part (left, top, width, height in shares) of these pixels lies in the photo as it was given."""
        return turned(part, -self.quarters)


def upright(pixels: Frame, finder: FaceFinder) -> UprightPhoto:
    """By the largest face; where none is found, in the photo turned each way. Where that shows no face, either, it stays as it is."""
    faces = finder.find(pixels)
    if faces and abs(faces[0].roll_deg) <= LIES_DEG:
        return UprightPhoto(pixels, faces)
    if faces:
        ways = [-round(faces[0].roll_deg / 90) % 4 or (1 if faces[0].roll_deg < 0 else 3)]
    else:
        scale = min(1.0, LOOKED_AT_PX / max(pixels.shape[:2]))
        small = pixels if scale == 1 else cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        ways = [quarters for quarters in (3, 1) if _stands(finder.find(_turned(small, quarters)))]
    for quarters in ways:
        standing = _turned(pixels, quarters)
        if _stands(again := finder.find(standing)):
            return UprightPhoto(standing, again, quarters)
    return UprightPhoto(pixels, faces)


def _stands(faces: list[Face]) -> bool:
    return bool(faces) and abs(faces[0].roll_deg) <= LIES_DEG


def _turned(pixels: Frame, quarters: int) -> Frame:
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def turned(part: Crop, quarters: int) -> Crop:
    """A part of a picture, in shares, once the picture was turned so often counterclockwise by 90 degrees."""
    for _ in range(quarters % 4):
        x, y, width, height = part
        part = y, 1 - x - width, height, width
    return part
