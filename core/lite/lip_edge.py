"""Finds in the picture where the lower lip of an open mouth begins: the mesh of a mouth that opens quickly ends above it."""

from __future__ import annotations

import cv2
import numpy as np

from core.lite.local_frame import Array
from core.lite.mouth_warp import MouthWarp
from core.types import Frame

LEAST_GAP = 0.12
"""Of an open mouth, over half its width."""
REACH = 0.5
"""How far below the mesh's line the lip may begin, over the gap."""
ALONG, DOWN = 13, 24
"""Places that are looked at along the mouth and below each of them."""
WIDE = 0.65
"""They lie within this part of the mouth's width."""
DARKER = 0.62
"""What is darker than this part of the lip's brightness is the mouth's inside."""
LIP_AROUND = np.linspace(-0.35, 0.1, 6, dtype=np.float32)
"""Of the lip's thickness, from its outer edge."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def lip_below(picture: Frame, mouth: MouthWarp) -> float:
    """How far below the mesh's line the lower lip begins in the middle of the mouth, pixels, 0 where it does not.

    picture: (h, w, 3) uint8 RGB in the pixels of `mouth`.
    """
    if mouth.gap_px < LEAST_GAP * mouth.half:
        return 0.0
    x = (np.linspace(-WIDE, WIDE, ALONG) * mouth.half).astype(np.float32)
    column = mouth.frame.index(x)
    lower, outer = mouth.lower_src[column], mouth.lower_outer[column]
    bow = 1 - (x / np.float32(mouth.half)) ** 2
    reach = np.minimum(np.float32(REACH * mouth.gap_px) * bow, 2.0 * (outer - lower))
    share = np.linspace(0, 1, DOWN, dtype=np.float32)[:, None]
    luma = _brightness(picture, mouth, x, lower + share * reach)
    # The lip itself: around the mesh's outer edge, which is on it even where the inner one is not.
    lip = _brightness(picture, mouth, x, outer + LIP_AROUND[:, None] * (outer - lower)).mean(axis=0)
    inside = np.cumprod(luma < DARKER * lip, axis=0).sum(axis=0)
    return float(np.median(inside / DOWN * reach / bow))


def _brightness(picture: Frame, mouth: MouthWarp, x: Array, y: Array) -> Array:
    """(n, ALONG) at places in the mouth's frame."""
    frame = mouth.frame
    map_x = frame.origin[0] + x * frame.ex[0] + y * frame.ey[0] - np.float32(0.5)
    map_y = frame.origin[1] + x * frame.ex[1] + y * frame.ey[1] - np.float32(0.5)
    seen = cv2.remap(picture, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    brightness: Array = seen.astype(np.float32) @ _LUMA
    return brightness
