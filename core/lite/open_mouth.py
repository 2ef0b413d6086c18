"""The picture of the inside of a mouth that a frame shows open: its upper teeth stay with the skull, what else is in it follows the jaw."""

from __future__ import annotations

import cv2
import numpy as np

from core.lite.local_frame import Array, smoothstep
from core.lite.mouth_interior import LUMA, MouthInterior, layer
from core.lite.mouth_warp import MouthWarp
from core.types import Frame

OPEN_ENOUGH = 0.3
"""Gap over half the mouth's width from which on a frame lends all that is seen between its lips."""
TEETH_DOWN, TOP, JAW_FROM, JAW_TO = 0.6, 0.35, 0.35, 0.65
"""Heights in the gap, 0 at the upper lip to 1: upper teeth end above the first, are seen above the second; between the others the mouth
begins to follow the jaw."""
PALER, FEW = 0.8, 0.04
"""Teeth are paler than lips by this factor; where they are less than this part of the upper half of the gap, it shows none."""
CORNER = 0.5
"""Where the gap is less than this part of its height in the middle there is only darkness."""
DARKEST_PERCENT = 20.0


class OpenMouth(MouthInterior):
    """texture: (H, W, 3) uint8 RGB in the pixels of `warp`. teeth: the part of the upper half of the gap in which teeth show, 0..1."""

    def __init__(self, warp: MouthWarp, texture: Frame) -> None:
        super().__init__(warp, texture, 1.0)
        photo, column = self._rectified(texture, 1.0), warp.frame.index(np.repeat(self.x, self._height, axis=0))
        upper, lower = warp.upper_src[column], warp.lower_src[column]
        gap = lower - upper
        down = (self.y - upper) / np.maximum(gap, 1)
        luma, red = photo @ LUMA, _redness(photo)
        wide = smoothstep((gap / max(float(gap.max()), 1) - CORNER) / 0.25)
        _, alpha = self._photo_teeth(photo, column)
        pale = smoothstep((PALER - red / max(float(_redness(self._lip)), 0.05)) / 0.2 + 0.5) * smoothstep((TEETH_DOWN - down) / 0.12)
        alpha = cv2.medianBlur((alpha[..., 0] * pale * wide).astype(np.float32), 5)
        # Above the place where a column shows most of a tooth, the tooth goes on under the lip, whose edge is nowhere exact.
        seen = np.where((down > 0) & (down < TOP), alpha, 0)
        first = (seen >= 0.9 * seen.max(axis=0)).argmax(axis=0).astype(np.int32)
        rows, columns = np.maximum(np.arange(self._height)[:, None], first[None, :]), np.arange(self._width)[None, :]
        teeth = alpha[rows, columns][..., None]
        upper_half = (down > 0) & (down < 0.5) & (gap > 1)
        self.teeth = float(teeth[upper_half].mean()) if upper_half.any() else 0.0
        self._teeth = layer(photo[rows, columns], teeth if self.teeth >= FEW else 0.0)
        inside = (down > 0.1) & (down < 0.9) & (gap > 1)
        if inside.any():
            dark = inside & (luma <= np.percentile(luma[inside], DARKEST_PERCENT))
            self._cavity = layer(np.broadcast_to(np.median(photo[dark], axis=0), photo.shape))
        # Below the lip's edge the lowest visible row goes on: a jaw that opens wider shows more of it.
        last = np.clip(((lower - self.y0) * self.scale - 1.5 - 0.08 * warp.half).astype(np.int32)[0], 0, self._height - 1)
        rows = np.minimum(np.arange(self._height)[:, None], last[None, :])
        share = smoothstep((down - JAW_FROM) / (JAW_TO - JAW_FROM)) * wide
        self._on_jaw, self._darkens = layer(photo[rows, columns], share[..., None]), 0.0
        middle = len(warp.contact) // 2
        self._jaw_rest_px = float(warp.lower_src[middle] - warp.contact[middle])


def _redness(rgb: Array) -> Array:
    """(..., 3) RGB 0..255 -> (...): the part of red that blue lacks."""
    red: Array = (rgb[..., 0] - rgb[..., 2]) / np.maximum(rgb[..., 0], 1)
    return red
