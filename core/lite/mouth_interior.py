"""The picture of the inside of an open mouth: teeth, tongue and the dark behind them.

The photo's own teeth are used where it shows them; otherwise a plain row is drawn in the light of the photo. Upper teeth are
fixed to the skull, lower teeth and tongue follow the jaw. Kept as layers, small pictures in the mouth's frame, which are laid over each
other where they are seen: (h, w, 4) float32, RGB 0..255 times coverage, and coverage 0..1. OpenCV looks up four channels fastest.
"""

from __future__ import annotations

import cv2
import numpy as np

from core.lite.local_frame import Array, smoothstep
from core.lite.mouth_shape import MouthShape
from core.lite.mouth_warp import MouthWarp
from core.types import Frame

UPPER_TOOTH = 0.235
"""Width of a middle upper tooth, over half the mouth's width."""
ROUND_HIDES_TEETH, ROUND_DARKENS = 1.15, 0.55
"""Lips that come forward leave the teeth behind in the dark, all of them before they are fully rounded, and the rest by this part."""
LOWER_TEETH_ABOVE, LOWER_TEETH_WIDTH, LOWER_TOOTH = 0.1, 0.52, 0.15
"""How far lower teeth stand above the lower lip, the half width of their row, and the width of one, over half the mouth's width."""
LOWER_TEETH_SHADE = np.array([0.5, 0.46, 0.44], np.float32)
"""They lie in the shadow of the upper ones."""
TIP_WIDTH, TIP_WITH_JAW, TIP_SEEN = 0.46, 0.35, 0.02
"""Half width of the tip of the tongue, over half the mouth's; how far it follows the jaw where it is raised; how far it is raised when it
is seen."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def teeth_left(rounding: float) -> float:
    """What rounded lips leave to be seen of the teeth, 1..0."""
    return max(1 - ROUND_HIDES_TEETH * rounding, 0.0)


def layer(rgb: Array, coverage: Array | float = 1.0) -> Array:
    """rgb: (h, w, 3) 0..255; coverage: (h, w, 1) or a number, 0..1."""
    return _stacked(rgb * coverage, np.broadcast_to(coverage, (*rgb.shape[:2], 1)))


def _stacked(rgb: Array, coverage: Array) -> Array:
    """Pixel after pixel: of planes, as numpy may leave them, OpenCV makes a copy at every look."""
    return np.dstack([rgb, coverage]).astype(np.float32, order="C")


def _over(behind: Array, over: Array) -> Array:
    """Lays one layer over another, in place."""
    left = 1 - over[..., 3]
    behind *= cv2.merge((left, left, left, left))  # a product that is broadcast takes four times as long
    behind += over
    return behind


class MouthInterior:
    """texture: (H, W, 3) uint8 RGB, `scale` texture pixels per output pixel. teeth: where the picture shows none, some are drawn."""

    def __init__(self, warp: MouthWarp, texture: Frame, scale: float, teeth: bool = True) -> None:
        self._warp = warp
        half = warp.half
        self.scale = min(max(scale, 1.0), max(1.0, 160 / half))
        self.x0, self.y0 = -1.15 * half, -0.7 * half
        self._width, self._height = int(2.3 * half * self.scale) + 1, int(2.2 * half * self.scale) + 1
        self.x = (self.x0 + (np.arange(self._width) + 0.5) / self.scale).astype(np.float32)[None, :]
        self.y = (self.y0 + (np.arange(self._height) + 0.5) / self.scale).astype(np.float32)[:, None]
        photo = self._rectified(texture, scale)
        column = warp.frame.index(np.repeat(self.x, self._height, axis=0))
        self._contact = warp.contact[column]
        lip, skin = self._lip_and_skin(photo, column)
        self._lip = lip
        self._cavity = layer(self._make_cavity(lip))
        if self._has_teeth(photo, column, lip):
            teeth_rgb, teeth_alpha = self._photo_teeth(photo, column)
        else:
            teeth_rgb, teeth_alpha = self._drawn_teeth(skin, bottom=0.13 * half, width=0.66 * half)
        self._tip = self._make_tip(lip)
        tongue, tongue_alpha = self._make_tongue(lip)
        lower, lower_alpha = self._lower_teeth(skin)
        if not teeth:
            teeth_alpha, lower_alpha = np.zeros_like(teeth_alpha), np.zeros_like(lower_alpha)
        on_jaw = tongue * tongue_alpha * (1 - lower_alpha) + lower * lower_alpha
        self._on_jaw = _stacked(on_jaw, 1 - (1 - tongue_alpha) * (1 - lower_alpha))
        self._jaw_rest_px, self._darkens = 0.0, ROUND_DARKENS
        """Where the jaw is in the layer that moves with it; how much darker fully rounded lips make what is behind the teeth."""
        self._teeth = layer(teeth_rgb, teeth_alpha)

    def colours(self, shape: MouthShape, x: Array, y: Array) -> Array:
        """An `Interior` (`core.lite.mouth_painting`), without the lips' shadow."""
        return self.colours_for(shape.jaw_px, shape.rounding, shape.tongue, x, y)

    def colours_for(self, jaw_px: float, rounding: float, tongue: float, x: Array, y: Array) -> Array:
        """What is seen at (x, y) of the mouth's frame, (h, w) each, where the jaw is lowered by so much: (h, w, 3) float32 RGB 0..255.
        rounding: of the lips, 0..1. tongue: how far its tip is raised, 0..1.
        """
        scale = np.float32(self.scale)
        column, row = (x - np.float32(self.x0)) * scale - np.float32(0.5), (y - np.float32(self.y0)) * scale - np.float32(0.5)

        def at(picture: Array, down_px: float = 0.0) -> Array:
            """Of a layer that is lowered."""
            lowered = row - np.float32(down_px * self.scale) if down_px else row
            seen: Array = cv2.remap(picture, column, lowered, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            return seen

        out = _over(at(self._cavity), at(self._on_jaw, jaw_px - self._jaw_rest_px))
        if tongue > TIP_SEEN:
            tip = at(self._tip, (TIP_WITH_JAW + (1 - TIP_WITH_JAW) * (1 - tongue)) * jaw_px)
            out = _over(out, tip * np.float32(min(2 * tongue, 1.0)))
        if rounding > 0:
            out *= np.float32(1 - self._darkens * rounding)
        colours: Array = cv2.cvtColor(_over(out, at(self._teeth) * np.float32(teeth_left(rounding))), cv2.COLOR_RGBA2RGB)
        return colours

    def _rectified(self, texture: Frame, scale: float) -> Array:
        frame = self._warp.frame
        # interior pixel (i, j) -> frame coordinates -> texture pixel
        ex, ey = frame.ex * scale / self.scale, frame.ey * scale / self.scale
        start = (frame.origin + (self.x0 + 0.5 / self.scale) * frame.ex + (self.y0 + 0.5 / self.scale) * frame.ey) * scale - 0.5
        matrix = np.array([[ex[0], ey[0], start[0]], [ex[1], ey[1], start[1]]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture: Array = cv2.warpAffine(
            texture, matrix, (self._width, self._height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float32)
        return picture

    def _lip_and_skin(self, photo: Array, column: Array) -> tuple[Array, Array]:
        """Typical colours of the lower lip and of the skin around the mouth, (3,) RGB."""
        lower, outer = self._warp.lower_src[column], self._warp.lower_outer[column]
        near = np.abs(self.x) < 0.6 * self._warp.half
        on_lip = near & (self.y > lower + 0.2 * (outer - lower)) & (self.y < outer)
        on_skin = near & (self.y > outer + 0.1 * self._warp.half)

        def median(mask: Array) -> Array:
            return np.asarray(np.median(photo[mask], axis=0) if mask.any() else (150.0, 100.0, 95.0), np.float32)

        return median(on_lip), median(on_skin)

    def _has_teeth(self, photo: Array, column: Array, lip: Array) -> bool:
        """True when the photo's mouth is open enough, and bright enough inside, to lend its teeth."""
        if self._warp.gap_px < 0.12 * self._warp.half:
            return False
        inside = (self.y > self._warp.upper_src[column]) & (self.y < self._warp.lower_src[column])
        return bool(inside.any()) and float(np.percentile(photo[inside] @ LUMA, 80)) > 1.1 * float(lip @ LUMA)

    def _make_cavity(self, lip: Array) -> Array:
        depth = smoothstep((self.y - self._contact) / np.float32(0.9 * self._warp.half))[..., None]
        dark = lip * np.array([0.20, 0.13, 0.13], np.float32)
        deep = lip * np.array([0.38, 0.22, 0.21], np.float32)
        picture: Array = (dark + (deep - dark) * depth).astype(np.float32)
        return picture

    def _make_tongue(self, lip: Array) -> tuple[Array, Array]:
        """A soft red mound that sinks with the jaw, its top a little above the lower lip."""
        half = self._warp.half
        bow = np.clip(1 - (self.x / (0.72 * half)) ** 2, 0, 1)
        top = self._contact + 0.02 * half - 0.38 * half * bow**0.5
        alpha = smoothstep((self.y - top) / np.float32(0.34 * half)) * smoothstep(bow * 2.5) * np.float32(0.8)
        rgb = lip * np.array([0.74, 0.53, 0.52], np.float32)
        return np.broadcast_to(rgb, (self._height, self._width, 3)).astype(np.float32), alpha[..., None].astype(np.float32)

    def _make_tip(self, lip: Array) -> Array:
        """The layer of the tip of the tongue behind the edges of the upper teeth, where it is when the jaw is closed; round,
        so its middle catches the light and its edges turn away from it."""
        half = self._warp.half
        across = np.clip(1 - (self.x / (TIP_WIDTH * half)) ** 2, 0, 1)
        down = (self.y - self._contact) / np.float32(half)
        alpha = smoothstep(across * 1.6) * smoothstep((down + 0.1) / 0.12) * smoothstep((0.34 * across**0.5 - down) / 0.14)
        light = 0.62 + 0.38 * across * np.exp(-(((down - 0.1) / 0.16) ** 2))
        rgb = lip * np.array([0.9, 0.66, 0.66], np.float32) * light[..., None]
        return layer(rgb, alpha[..., None])

    def _photo_teeth(self, photo: Array, column: Array) -> tuple[Array, Array]:
        """The photo's own pixels between the lips, fading at their lower edge; the bright ones only near the corners."""
        upper, lower = self._warp.upper_src[column], self._warp.lower_src[column]
        fade = np.float32(max(1.0, 0.04 * self._warp.half))
        alpha = smoothstep((lower - self.y) / fade - 0.4) * (lower - upper > 0.5)
        luma = photo @ LUMA
        inside = alpha > 0.5
        bright = float(np.percentile(luma[inside], 85)) if inside.any() else 180.0
        alpha = alpha * smoothstep((luma / max(bright, 1.0) - 0.25) / 0.3)
        # above the visible part the row goes on under the lip: repeat each column's highest visible tooth pixel upwards
        start = np.clip(((upper - self.y0) * self.scale + 1).astype(np.int32)[0], 0, self._height - 1)
        rows = np.maximum(np.arange(self._height)[:, None], start[None, :])
        columns = np.arange(self._width)[None, :]
        return photo[rows, columns], alpha[rows, columns][..., None].astype(np.float32)

    def _lower_teeth(self, skin: Array) -> tuple[Array, Array]:
        """The row that stands above the lower lip, where it is when the jaw is closed."""
        half = self._warp.half
        u = np.clip(np.abs(self.x) / np.float32(LOWER_TEETH_WIDTH * half), 0, 1)
        top = self._contact - np.float32(LOWER_TEETH_ABOVE * half) * (1 - u**2)
        alpha = smoothstep((self.y - top) / np.float32(max(0.06 * half, 0.8)) + 0.5) * smoothstep((1 - u) / 0.5)
        shade = (0.6 + 0.4 * (1 - u**2)) * self._between_teeth(LOWER_TOOTH)
        rgb = LOWER_TEETH_SHADE * self._enamel(skin) * np.broadcast_to(shade, (self._height, self._width))[..., None]
        return rgb.astype(np.float32), alpha[..., None].astype(np.float32)

    def _enamel(self, skin: Array) -> Array:
        """(3,): the colour of teeth in the light that falls on the skin."""
        luma = float(skin @ LUMA)
        cast = 0.55 * np.array([1.0, 0.965, 0.91], np.float32) + 0.45 * skin / max(luma, 1.0)
        return np.asarray(cast * min(0.5 * luma + 98, 210), np.float32)

    def _between_teeth(self, width: float) -> Array:
        """(1, w): 1, less where one tooth ends and the next begins. width: of a tooth, over half the mouth's width."""
        tooth = np.float32(width * self._warp.half)
        phase = np.abs(((self.x / tooth) + 0.5) % 1 - 0.5) * 2 * tooth  # distance to the nearest gap times two
        lines: Array = 1 - np.float32(0.13) * np.exp(-((np.float32(tooth) - phase) / np.float32(0.05 * self._warp.half)) ** 2)
        return lines

    def _drawn_teeth(self, skin: Array, bottom: float, width: float) -> tuple[Array, Array]:
        """A row of upper teeth: `bottom` below the line where the lips meet, `width` its half width."""
        u = np.clip(np.abs(self.x) / width, 0, 1)
        edge = self._contact + np.float32(bottom) * (1 - u**2) + np.float32(0.01 * self._warp.half)
        soft = np.float32(max(0.05 * self._warp.half, 0.7))
        alpha = smoothstep((edge - self.y) / soft + 0.5) * smoothstep((1 - u) / 0.35)
        shade = (0.7 + 0.3 * (1 - u**2)) * self._between_teeth(UPPER_TOOTH)
        rgb = self._enamel(skin) * np.broadcast_to(shade, (self._height, self._width))[..., None]
        return rgb.astype(np.float32), alpha[..., None].astype(np.float32)
