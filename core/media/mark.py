"""Draws the imperceptible mark into frames: a pattern of a few levels on luma, stronger where the picture has texture.

The pattern stands still, so that a detector can add up all frames, and codecs carry it along at hardly any cost. What decides its strength
is computed in whole numbers, so that a frame is marked the same to the bit everywhere.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.media.mark_pattern import REFERENCE, TILE, Tile
from core.types import FPS, Frame

REFRESH_FRAMES = 2 * FPS
"""After so many frames the strength follows the picture; as often as files have a key frame."""
_FLAT, _MOST, _RMS = 0.28, 3.0, 1.9
"""Root mean square of the mark, in levels: on a flat ground, in the strongest texture, and at most in all (42.5 dB)."""
_FLAT_DARK, _LIGHT = 0.6, 112
"""The same on a flat dark ground, where a level shows less; from this level on a ground is light."""
_DARK, _BLACK = 48, 32
"""In black the mark is weaker, in the ratio of the second to the first; it comes to its strength over the levels between."""
_PER_TEXTURE, _FREE = 0.5, 0.5
"""Levels that one level of texture adds, beyond the first, which a sensor's noise makes."""
_FINE, _COARSE = 5, 17
"""Sides of the windows, in units of the pattern, in which texture is told from shape, and averaged."""
_ONE = 64


class Mark:
    """The mark for pictures of one size; draws it into one frame after the other. Not thread-safe.

    width, height: at least 2. tile: from `make_tile`.
    """

    def __init__(self, width: int, height: int, tile: Tile) -> None:
        self._scale = min(width, height) / REFERENCE
        self._pattern = _spread(tile, width, height)
        self._n_frames = 0
        self._brighter = self._darker = np.zeros((0, 0, 3), np.uint8)

    def draw(self, frame: Frame) -> None:
        """Draws into `frame`, (height, width, 3) uint8 RGB, in place; its rows may be apart, its pixels not."""
        if self._n_frames % REFRESH_FRAMES == 0:
            self._follow(frame)
        self._n_frames += 1
        cv2.add(frame, self._brighter, dst=frame)
        cv2.subtract(frame, self._darker, dst=frame)

    def _follow(self, frame: Frame) -> None:
        levels = self._pattern.astype(np.int32) * _strength(frame, self._scale)
        levels = (levels + _ONE * _ONE // 2) // (_ONE * _ONE)
        self._brighter, self._darker = (cv2.merge([part.astype(np.uint8)] * 3) for part in (np.maximum(levels, 0), np.maximum(-levels, 0)))


def _spread(tile: Tile, width: int, height: int) -> Tile:
    """The tile repeated over a picture; its shorter side is REFERENCE units."""
    scale = min(width, height) / REFERENCE
    down, across = -(-round(height / scale + 1) // TILE), -(-round(width / scale + 1) // TILE)
    repeated = np.tile(tile, (down, across))
    x, y = ((np.arange(n, dtype=np.float32) + 0.5) / scale - 0.5 for n in (width, height))
    if scale == 1:
        return np.ascontiguousarray(repeated[:height, :width])
    rows = np.repeat(y[:, None], width, axis=1)
    columns = np.repeat(x[None], height, axis=0)
    drawn: Tile = cv2.remap(repeated, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)
    return drawn


def _strength(frame: Frame, scale: float) -> NDArray[np.int32]:
    """Root mean square of the mark at each pixel, (height, width), in 64ths of a level."""
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    fine, coarse = (max(3, round(side * scale) | 1) for side in (_FINE, _COARSE))
    mean = cv2.blur(luma, (fine, fine))
    texture = cv2.blur(cv2.multiply(cv2.absdiff(luma, mean), 8), (coarse, coarse)).astype(np.int32)
    added = np.maximum(texture - round(8 * _FREE), 0) * round(_PER_TEXTURE * _ONE) // 8
    level = mean.astype(np.int32)
    darker = np.clip(_LIGHT - level, 0, _LIGHT - _DARK)
    flat = round(_FLAT * _ONE) + round((_FLAT_DARK - _FLAT) * _ONE) * darker // (_LIGHT - _DARK)
    strength = np.minimum(flat + added, round(_MOST * _ONE)) * np.clip(level + _BLACK, 0, _DARK) // _DARK
    mean_square = int(np.sum(strength * strength, dtype=np.int64)) / strength.size
    most = (_RMS * _ONE) ** 2
    if mean_square > most:
        strength = (strength * int(256 * (most / mean_square) ** 0.5)) >> 8
    result: NDArray[np.int32] = strength
    return result
