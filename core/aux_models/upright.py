"""Turns a photo upright in which the person lies on the side or stands on the head, for every engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import cv2
import numpy as np

from core.notices import notice
from core.picture_options import Crop
from core.request import RenderOptions
from core.types import Frame

LIES_DEG = 50.0
"""A head rolled further lies; one that is merely tilted stays as it is."""
LOOKED_AT_PX = 960
"""Longer side at which a photo without a face is looked at from the other sides: the detector misses many faces that lie."""


class Head(Protocol):
    """A face as a finder tells it."""

    @property
    def roll_deg(self) -> float:
        """Of the head in its picture; positive is counterclockwise."""


F = TypeVar("F", bound=Head)


@dataclass(frozen=True, eq=False)
class UprightPhoto(Generic[F]):
    """pixels: (H, W, 3) uint8 RGB. faces: in them, the largest first. quarters: turns counterclockwise by which they came about, 0..3."""

    pixels: Frame
    faces: Sequence[F]
    quarters: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        return turn_warnings(self.quarters)

    def given(self, part: Crop) -> Crop:
        """Where a part (left, top, width and height in shares) of these pixels lies in the photo as it was given."""
        return turned(part, -self.quarters)


def upright(pixels: Frame, find: Callable[[Frame], Sequence[F]]) -> UprightPhoto[F]:
    """By the largest face; where none is found, in the photo turned each way. Where that shows no face, either, it stays as it is.

    find: (H, W, 3) uint8 RGB -> the faces in it, the largest first.
    """
    faces = find(pixels)
    if _stands(faces):
        return UprightPhoto(pixels, faces)
    if faces:
        ways = [-round(faces[0].roll_deg / 90) % 4 or (1 if faces[0].roll_deg < 0 else 3)]
    else:
        scale = min(1.0, LOOKED_AT_PX / max(pixels.shape[:2]))
        small = pixels if scale == 1 else cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        ways = [quarters for quarters in (3, 1, 2) if _stands(find(turned_pixels(small, quarters)))]
    for quarters in ways:
        standing = turned_pixels(pixels, quarters)
        if _stands(again := find(standing)):
            return UprightPhoto(standing, again, quarters)
    return UprightPhoto(pixels, faces)


def _stands(faces: Sequence[Head]) -> bool:
    return bool(faces) and abs(faces[0].roll_deg) <= LIES_DEG


def turn_warnings(quarters: int) -> tuple[str, ...]:
    """What is said of a photo that was turned so often."""
    return (notice("photo_turned"),) if quarters else ()


def turned_pixels(pixels: Frame, quarters: int) -> Frame:
    """Counterclockwise by so many times 90 degrees."""
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def turned(part: Crop, quarters: int) -> Crop:
    """A part of a picture, in shares, once the picture was turned so often counterclockwise by 90 degrees."""
    for _ in range(quarters % 4):
        x, y, width, height = part
        part = y, 1 - x - width, height, width
    return part


def with_crop_turned(options: RenderOptions, quarters: int) -> RenderOptions:
    """A crop is chosen on the photo as it was given: the same options for the photo that was turned so often."""
    if not quarters or options.crop is None:
        return options
    return dataclasses.replace(options, crop=turned(options.crop, quarters))
