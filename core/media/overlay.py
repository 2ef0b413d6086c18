"""White on black that is drawn over a part of a frame, each with its opacity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.types import Frame


class Overlay:
    """Prepared once for the pixels from (top, left) on. white, dark: (H, W) 0..1, opacity of the white, and of the black beneath it.

    box: (top, bottom, left, right) of the pixels that `draw` may change.
    """

    def __init__(self, top: int, left: int, white: NDArray[np.floating], dark: NDArray[np.floating]) -> None:
        tall, wide = white.shape
        self.box = (top, top + tall, left, left + wide)
        # In 256ths, with 127 to round: at most 255 * 256 + 255, which 16 bits hold.
        self._keep = np.round((1 - white) * (1 - dark) * 256).astype(np.uint16)[..., None]
        self._add = np.round(white * 255 * 256 + 127).astype(np.uint16)[..., None]

    def draw(self, frame: Frame) -> None:
        """Draws into `frame`, (height, width, 3) uint8 RGB, in place."""
        top, bottom, left, right = self.box
        region = frame[top:bottom, left:right]
        region[...] = (region * self._keep + self._add) >> 8
