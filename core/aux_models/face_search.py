"""Where a face that was lost is looked for in a frame, the cheap places first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from core.types import Frame

Box = tuple[float, float, float, float]

AROUND = 3.0
"""Side of what is searched around the place where the face was last, in sides of the face."""
LEAST_PX = 16
"""Half of that side at least."""
SEARCHED_PX = 640
"""Every picture is searched at this longer side: larger ones cost more and show a detector no more."""
PARTS = 3
"""Overlapping parts of half the frame's sides, so many each way: detectors look at every picture in one small size and miss small faces."""
BLANK_PX, BLANK = 16, 1.0
"""A picture shows nothing where the lightness of its parts, so many each way, deviates less than this (of 255)."""
PAUSES = (1, 2, 4, 8, 12)
"""Frames from one thorough search to the next while a face is lost; the last holds from then on."""


@dataclass(frozen=True, eq=False)
class Look:
    """A picture to search. A point p of it lies at p / scale + (x, y) of the frame."""

    pixels: Frame
    scale: float
    x: float
    y: float


def looks(frame: Frame, last: Box | None, thorough: bool) -> Iterator[Look]:
    """Around the last place; the whole frame; where thorough also that scaled up in parts, then both with their contrast stretched.

    frame: (H, W, 3) uint8 RGB. last: x0, y0, x1, y1 of the face where it was seen last. Nothing of a frame that shows nothing.
    """
    if is_blank(frame):
        return
    height, width = frame.shape[:2]
    whole = _resized(frame, 0, 0, width, height)
    first = [whole] if last is None else [_around(frame, last), whole]
    yield from first
    if not thorough:
        return
    for y in range(PARTS):
        for x in range(PARTS):
            left, top = x * width // (2 * PARTS - 2), y * height // (2 * PARTS - 2)
            yield _resized(frame, left, top, left + (width + 1) // 2, top + (height + 1) // 2)
    for look in first:
        yield Look(_stretched(look.pixels), look.scale, look.x, look.y)


def is_blank(frame: Frame) -> bool:
    """Whether a picture is of one colour, as where a camera was off or a file is broken."""
    steps = [max(1, length // (8 * BLANK_PX)) for length in frame.shape[:2]]
    parts = cv2.resize(frame[:: steps[0], :: steps[1]], (BLANK_PX, BLANK_PX), interpolation=cv2.INTER_AREA)
    return float(parts.mean(axis=2).std()) < BLANK


class SearchPauses:
    """How often a lost face is searched for thoroughly: at once, then more and more seldom, so that a long gap costs little."""

    def __init__(self) -> None:
        self.found()

    def found(self) -> None:
        self._searches, self._next, self._lost = 0, 0, 0

    def lost(self) -> bool:
        """Counts a frame without the face; True: it is worth a thorough search."""
        due = self._lost >= self._next
        if due:
            self._next = self._lost + PAUSES[min(self._searches, len(PAUSES) - 1)]
            self._searches += 1
        self._lost += 1
        return due


def _around(frame: Frame, box: Box) -> Look:
    x0, y0, x1, y1 = box
    half = max(AROUND * max(x1 - x0, y1 - y0) / 2, LEAST_PX)
    height, width = frame.shape[:2]
    cx, cy = (float(np.clip((low + high) / 2, 0, limit)) for low, high, limit in ((x0, x1, width), (y0, y1, height)))
    return _resized(frame, round(cx - half), round(cy - half), round(cx + half), round(cy + half))


def _resized(frame: Frame, x0: int, y0: int, x1: int, y1: int) -> Look:
    x0, y0 = max(0, x0), max(0, y0)
    part = frame[y0:y1, x0:x1]
    scale = SEARCHED_PX / max(part.shape[:2])
    part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    return Look(np.ascontiguousarray(part), scale, float(x0), float(y0))


def _stretched(pixels: Frame) -> Frame:
    """The lightness spread over its whole range, part by part (contrast limited adaptive histogram equalisation)."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    low, high = np.percentile(lab[::4, ::4, 0], (1, 99))
    table = np.clip((np.arange(256) - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(table[lab[..., 0]])
    stretched: Frame = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return stretched
