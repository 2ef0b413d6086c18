"""Draws new lips into the frames of a clip; what is not beside the mouth and the jaw stays as it is, to the bit.

A frame is drawn as a photo is (`renderer.py`), but only around the mouth, and by a mouth warp that is made for this frame: its lips are
in the middle of a word, so the warp goes from there to rest and on to the new word, and each pixel is resampled once.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.lite.clip_interior import ClipInterior, FittedInterior, KeptMouth, light_around
from core.lite.clip_mouths import ClipMouths
from core.lite.expression import Expression
from core.lite.local_frame import Array, places_in, texture_matrix, to_local
from core.lite.mouth_painting import fill_mouth
from core.lite.mouth_warp import MouthShape, MouthWarp
from core.lite.renderer import BAND_PIXELS, MAX_TEXTURE_PX
from core.optimization.resolution_optimization import Cut, Framed
from core.types import Frame

FINER_FROM = 1.2
"""Where the clip has so many times the pixels of the video, lips are drawn from twice as many as the video has."""


class ClipRenderer:
    """mouths: of the whole clip. inside: the picture of the mouth's inside. shown: a whole number of pixels, all of them in the clip.

    Thread-safe after construction.
    """

    def __init__(self, mouths: ClipMouths, inside: KeptMouth, shown: Framed) -> None:
        self.width, self.height = shown.width, shown.height
        self._mouths, self._cut = mouths, shown.cut
        finer = shown.cut.width > FINER_FROM * shown.width and 2 * max(shown.width, shown.height) <= MAX_TEXTURE_PX
        self._scale = 2 if finer else 1
        self._interior = ClipInterior(inside, mouths.typical_half_px() * shown.width / shown.cut.width)

    @property
    def nbytes(self) -> int:
        return self._interior.nbytes

    def shown(self, frame: Frame) -> Frame:
        """A frame of the clip as the video shows it where nothing is drawn; it may be a part of `frame` itself."""
        return self._halved(self._texture(frame))

    def draw(self, frame: Frame, index: int, expression: Expression, pause: Callable[[], None] = lambda: None) -> Frame:
        """The (height, width, 3) uint8 RGB picture of frame `index` of the clip with other lips: aperture, spread, tuck and smile of the
        expression. pause: called between two bands of a large one.
        """
        texture = self._texture(frame)
        out: Frame = self._halved(texture).copy()
        weight = float(self._mouths.weight[index])
        if weight <= 0:
            return out
        mouth = self._mouths.warp(index, self._cut, out)
        shape = mouth.shape(expression.aperture, expression.spread, expression.tuck, expression.smile, expression.press, expression.tongue)
        if weight < 1:
            shape = shape.eased(mouth, weight)
            mouth.teeth_shown *= weight
        interior = self._interior.fitted(mouth, light_around(out, mouth))
        rows, columns = _region(mouth, self.width, self.height)
        if columns.start == columns.stop:  # the face has left what is shown
            return out
        step = max(1, BAND_PIXELS // (columns.stop - columns.start))
        for first in range(rows.start, rows.stop, step):
            if first > rows.start:
                pause()
            band = slice(first, min(first + step, rows.stop)), columns
            out[band] = self._drawn(texture, band, mouth, interior, shape, weight)
        return out

    def _drawn(
        self, texture: Frame, band: tuple[slice, slice], mouth: MouthWarp, interior: FittedInterior, shape: MouthShape, weight: float
    ) -> Frame:
        """Some pixels of the picture, with new lips. weight: how much of the new inside is seen in place of the frame's own."""
        half = np.float32(0.5)
        map_x, map_y = np.meshgrid(
            np.arange(band[1].start, band[1].stop, dtype=np.float32) + half, np.arange(band[0].start, band[0].stop, dtype=np.float32) + half
        )
        x, y = to_local(mouth.frame, map_x, map_y)
        source = mouth.source(shape, x, y)
        if weight < 1:
            source = source._replace(y=mouth.inside_source(shape, source.column, y, source.y), covered=source.covered * np.float32(weight))
        places = places_in(texture_matrix(mouth.frame, self._scale), source.x, source.y)
        # at the clip's own pixels there is nothing to average, and linear interpolation would show as blur that comes and goes
        interpolation = cv2.INTER_LINEAR if self._scale > 1 else cv2.INTER_CUBIC
        drawn: Frame = cv2.remap(texture, places, None, interpolation=interpolation, borderMode=cv2.BORDER_REPLICATE)
        fill_mouth(drawn, mouth, interior, shape, source, y)
        return drawn

    def _texture(self, frame: Frame) -> Frame:
        """The part of the frame that is shown, at the size lips are drawn from."""
        part = _part(frame, self._cut)
        size = self.width * self._scale, self.height * self._scale
        if (part.shape[1], part.shape[0]) == size:
            return part
        shrinks = size[0] < part.shape[1]
        resized: Frame = cv2.resize(part, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        return resized

    def _halved(self, texture: Frame) -> Frame:
        if self._scale == 1:
            return texture
        still: Frame = cv2.resize(texture, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return still


def _part(frame: Frame, cut: Cut) -> Frame:
    x, y = round(cut.x), round(cut.y)
    return frame[y : y + round(cut.height), x : x + round(cut.width)]


def _region(mouth: MouthWarp, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns that the mouth can change."""
    x0, y0, x1, y1 = mouth.bounds
    corners = np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)], np.float32)
    pixels: Array = mouth.frame.origin + corners[:, :1] * mouth.frame.ex + corners[:, 1:] * mouth.frame.ey
    low, high = np.floor(pixels.min(axis=0)).astype(int), np.ceil(pixels.max(axis=0)).astype(int)
    columns, rows = np.clip([low[0], high[0]], 0, width), np.clip([low[1], high[1]], 0, height)
    return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))
