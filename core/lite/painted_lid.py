"""A lid that is painted over a round eye: of an animal or a drawing, where skin that was drawn out over it would show how far it came."""

from __future__ import annotations

import numpy as np

from core.lite.closed_lid import ClosedLid
from core.lite.local_frame import Array, look_up, smoothstep
from core.types import Frame

OVER, SOFT, SOFT_ABOVE = 0.05, 0.07, 0.3
"""How far the lid reaches over the eye's outline, and how soft its border is at the sides and above, over half the eye's width."""
LASHES, LASHES_DARKER = 0.09, 0.35
"""Width of the dark edge of the lid, over half the eye's width, and how dark it is."""
CREASE_DARKER = 0.8
"""A lid is darker where it comes out from under the brow."""


class PaintedLid(ClosedLid):
    """The lid of one eye, in the colour of the skin around it."""

    def paint(self, drawn: Frame, x: Array, y: Array, blink: float) -> None:
        """As `ClosedLid.paint`."""
        eye, larger = self._eye, np.float32(1 + OVER)
        half = np.float32(eye.frame.half)
        column = eye.frame.index(x / larger)
        upper, lower = look_up(eye.upper, column) * larger, look_up(eye.lower, column) * larger
        down = np.clip((y - upper) / np.maximum(lower - upper, 1), 0, 1)
        edge = upper + np.float32(blink) * (lower - upper)
        soft = np.float32(SOFT) * half
        cover = smoothstep((y - upper) / (np.float32(SOFT_ABOVE) * half)) * np.clip(edge - y + np.float32(0.5), 0, 1)
        cover *= smoothstep((larger * half - np.abs(x)) / soft + 0.5) * smoothstep((lower - upper) / soft)
        shade = 1 - np.exp(-(((edge - y) / (np.float32(LASHES) * half)) ** 2)) * np.float32(1 - LASHES_DARKER)
        shade *= np.float32(CREASE_DARKER) + np.float32(1 - CREASE_DARKER) * smoothstep(down * 2)
        skin = look_up(self.skin, column) * shade[..., None]
        drawn[...] = (drawn + (skin - drawn) * cover[..., None] + np.float32(0.5)).astype(np.uint8)
