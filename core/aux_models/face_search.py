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
ENLARGED_PX = 640
"""What is searched around that place is enlarged to this side: detectors miss small faces."""
SCALED_UP, SCALED_UP_PX = 2.0, 1920
"""A whole frame is searched once more at this scale, its longer side at most so long."""
BLANK = 4.0
"""Standard deviation of the lightness, 0..255, below which a picture shows nothing."""
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
    """Around the last place; the whole frame; where thorough also that scaled up, then both with their contrast stretched.

    frame: (H, W, 3) uint8 RGB. last: x0, y0, x1, y1 of the face where it was seen last. Nothing of a frame that shows nothing.
    """
    if is_blank(frame):
        return
    around = None if last is None else _around(frame, last)
    if around is not None:
        yield around
    yield Look(frame, 1.0, 0.0, 0.0)
    if not thorough:
        return
    scale = min(SCALED_UP, SCALED_UP_PX / max(frame.shape[:2]))
    if scale > 1:
        yield Look(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), scale, 0.0, 0.0)
    for look in (around, Look(frame, 1.0, 0.0, 0.0)):
        if look is not None:
            yield Look(_stretched(look.pixels), look.scale, look.x, look.y)


def is_blank(frame: Frame) -> bool:
    """Whether a picture is of one colour, as where a camera was off or a file is broken."""
    sample = frame[:: max(1, frame.shape[0] // 64), :: max(1, frame.shape[1] // 64)]
    return float(sample.mean(axis=2).std()) < BLANK


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


def _around(frame: Frame, box: Box) -> Look | None:
    x0, y0, x1, y1 = box
    half = AROUND * max(x1 - x0, y1 - y0) / 2
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    height, width = frame.shape[:2]
    left, top = max(0, round(cx - half)), max(0, round(cy - half))
    right, bottom = min(width, round(cx + half)), min(height, round(cy + half))
    if right - left < 8 or bottom - top < 8:
        return None
    part = frame[top:bottom, left:right]
    scale = ENLARGED_PX / max(part.shape[:2])
    if scale > 1:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return Look(np.ascontiguousarray(part), max(scale, 1.0), float(left), float(top))


def _stretched(pixels: Frame) -> Frame:
    """The lightness spread over its whole range, part by part (contrast limited adaptive histogram equalisation)."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    low, high = np.percentile(lab[::4, ::4, 0], (1, 99))
    table = np.clip((np.arange(256) - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(table[lab[..., 0]])
    stretched: Frame = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return stretched
