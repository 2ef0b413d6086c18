"""Puts something else behind the person of a clip: who is looked for in every frame, and the edge is steadied from frame to frame."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.lite.background import FOUND, Array, with_background
from core.optimization.resolution_optimization import Box
from core.types import Frame, Photo

SIDE_PX = 384
"""Longer side of what is looked at."""
STEADY, MOVED = 0.5, 0.25
"""A mask keeps the first part of the one before where the two differ by less than the second: edges tremble less, nothing is late."""


class ClipBackground:
    """One playing of a clip. find: (H, W, 3) uint8 -> (H, W) float32, 1 on people. background: "blur", "#rrggbb" or a picture."""

    def __init__(self, find: Callable[[Frame], Array], background: str | Photo) -> None:
        self._find, self._background = find, background
        self._before: Array | None = None

    def __call__(self, picture: Frame) -> Frame:
        """The next frame, as it is shown."""
        mask = self._mask(picture)
        if self._before is not None:
            mask += (self._before - mask) * np.where(np.abs(self._before - mask) < MOVED, np.float32(STEADY), np.float32(0))
        self._before = mask
        height, width = picture.shape[:2]
        return with_background(picture, cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), self._background)

    def finds(self, picture: Frame, face: Box) -> bool:
        """Whether the face (left, top, right, bottom, pixels) is among what is found: in many drawings it is not."""
        mask = self._mask(picture)
        scale = mask.shape[1] / picture.shape[1]
        left, top, right, bottom = (round(value * scale) for value in face)
        part = mask[max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
        return bool(part.size) and float(part.mean()) >= FOUND

    def _mask(self, picture: Frame) -> Array:
        scale = min(1.0, SIDE_PX / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        return self._find(small)
