"""The skin of a lid that closes: an open eye shows little of it, so it is painted in the colour of the skin around the eye."""

from __future__ import annotations

import cv2
import numpy as np

from core.lite.eye_warp import LOWER_LID_SHARE, EyeWarp
from core.lite.local_frame import Array, clipped, look_up, smoothstep
from core.types import Frame

LID_FROM, LID_SOFT = 0.35, 0.22
"""A closed lid's own skin begins so far above the open lid's edge, and comes in over so much, over half the eye's width."""
LID_COVER = 0.8
"""How much of a closed lid is that skin; the rest is what the warp has drawn out over it, with its light and its grain."""
LID_DARKER = 0.94
"""A lid is a little darker than the skin around the eye."""
STRIPS = ((0.25, 0.6), (-0.75, -0.4))
"""Heights below the lower lid's line, and above the upper one's, between which the skin around the eye is looked at, over half the eye's
width; of both the places in the middle of the brightness count, so that glasses, a brow or its shadow do not."""


class ClosedLid:
    """The lid of one eye. picture: (H, W, 3) uint8 RGB in the pixels of `eye`."""

    def __init__(self, eye: EyeWarp, picture: Frame) -> None:
        self._eye = eye
        self.skin = np.float32(LID_DARKER) * self._around(picture)

    def paint(self, drawn: Frame, x: Array, y: Array, blink: float) -> None:
        """Into a part of the picture, in place, (h, w, 3). x, y: of its pixels, (h, w), frame coordinates. blink: 0..1."""
        eye = self._eye
        column = eye.frame.index(x)
        half = np.float32(eye.frame.half)
        edge = look_up(eye.upper + np.float32((1 - LOWER_LID_SHARE) * blink) * (eye.lower - eye.upper), column) - eye.roots_px
        top = look_up(eye.upper, column) - np.float32(LID_FROM) * half
        cover = smoothstep((y - top) / (np.float32(LID_SOFT) * half)) * clipped(edge - y + np.float32(0.5), 0, 1)
        cover *= look_up(eye.inside, column) * np.float32(LID_COVER * blink)
        skin = look_up(self.skin, column)
        drawn[...] = (drawn + (skin - drawn) * cover[..., None] + np.float32(0.5)).astype(np.uint8)

    def _around(self, picture: Frame) -> Array:
        """(len(frame.x), 3) float32 RGB 0..255: the colour of the skin around the eye, along it."""
        frame, half = self._eye.frame, self._eye.frame.half
        x = np.float32(half) * np.linspace(-0.8, 0.8, 9, dtype=np.float32)
        column = frame.index(x)
        (low0, low1), (high0, high1) = STRIPS
        heights = [self._eye.lower[column] + np.float32(half * at) for at in np.linspace(low0, low1, 4)]
        heights += [self._eye.upper[column] + np.float32(half * at) for at in np.linspace(high0, high1, 4)]
        y = np.stack(heights).astype(np.float32)
        map_x = (frame.origin[0] + x * frame.ex[0] + y * frame.ey[0] - np.float32(0.5)).astype(np.float32)
        map_y = (frame.origin[1] + x * frame.ex[1] + y * frame.ey[1] - np.float32(0.5)).astype(np.float32)
        seen = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        # a third of the eye's width at a time: light that falls from one side stays
        colours = [np.median(seen[:, first : first + 3].reshape(-1, 3), axis=0) for first in (0, 3, 6)]
        along = [np.interp(frame.x, x[[1, 4, 7]], [colour[channel] for colour in colours]) for channel in range(3)]
        return np.stack(along, axis=1).astype(np.float32)
