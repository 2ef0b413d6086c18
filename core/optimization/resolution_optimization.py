"""Framing: the part of the photo that a video shows, and its size in pixels.

The square cut holds head and shoulders and is centred on the face; it stays inside the photo where the photo is large enough.
Where it is not, the photo's edge is drawn out and increasingly blurred: no hard edge, and no second, mirrored face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.types import Frame, RenderOptions

CUT_PER_FACE = 2.1
"""Side of the cut over the longer side of the face oval: the face fills a little less than half of the picture."""
MIN_CUT_PER_FACE = 1.3
"""The cut may shrink to this to stay inside the photo: ears and chin, wide open too, are just inside."""
ROOM_BELOW = 0.12
"""This part of the face stays free below the chin, even beyond the photo's edge: a wide mouth lowers the chin by 0.08."""
FACE_CENTRE_Y = 0.47
"""Height of the middle of the face in the cut, from the top, as a share of the cut: shoulders lie below, space above."""

_SOFTENING = ((0.03, 0.03), (0.16, 0.12))
"""(distance from the photo's edge, sigma of the blur there), parts of the cut's side: streaks of hair dissolve soon."""
_BLURRED_PX = 256
"""Side in pixels at which the continued edge is blurred, so that the time does not grow with the photo."""


@dataclass(frozen=True)
class Cut:
    """A rectangle of the photo, pixels; it may reach over the photo's edges."""

    x: float
    y: float
    width: float
    height: float


def face_cut(photo_width: int, photo_height: int, face_box: tuple[float, float, float, float]) -> Cut:
    """The square cut around `face_box` (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = face_box
    face = max(x1 - x0, y1 - y0)
    side = max(min(CUT_PER_FACE * face, photo_width, photo_height), MIN_CUT_PER_FACE * face)
    x = (x0 + x1) / 2 - side / 2
    y = (y0 + y1) / 2 - FACE_CENTRE_Y * side
    lowest = y1 + ROOM_BELOW * face - side
    return Cut(_inside(x, side, photo_width), max(_inside(y, side, photo_height), lowest), side, side)


def output_size(photo_width: int, photo_height: int, options: RenderOptions) -> tuple[int, int]:
    """Width and height of the video in pixels, even. `size` says how large; `max_size` bounds the source when size is "source"."""
    if options.size != "source":
        return options.size, options.size
    return source_size(photo_width, photo_height, options.max_size)


def source_size(width: int, height: int, max_size: int) -> tuple[int, int]:
    """Width and height of a photo or video as it is worked on: the longer side at most `max_size` (0 or less: as it is), the other in
    proportion, both made even by leaving off a pixel, neither below 2. The sizes are Ditto's own (its published code), which gives 0 for 1.
    """
    longer = max(width, height)
    if 0 < max_size < longer:
        width, height = round(width * max_size / longer), round(height * max_size / longer)
    return _even(width), _even(height)


def bounded(pixels: Frame, max_size: int) -> Frame:
    """A (H, W, 3) picture at its `source_size`, bilinear as published; the very same array where that is its size."""
    height, width = pixels.shape[:2]
    size = source_size(width, height, max_size)
    if size == (width, height):
        return pixels
    resized: Frame = cv2.resize(pixels, size)
    return resized


def cut_pixels(pixels: Frame, cut: Cut, width: int, height: int) -> Frame:
    """`cut` of a (H, W, 3) photo resampled to (height, width, 3): area-averaged when it shrinks, cubic when it grows."""
    scale = width / cut.width
    if scale < 1:  # bring it near the final size first: an affine warp alone would alias
        pixels, cut = _shrunk(pixels, cut, min(1.0, 1.5 * scale))
    x0, y0 = int(np.floor(cut.x)), int(np.floor(cut.y))
    x1, y1 = int(np.ceil(cut.x + cut.width - 1e-6)), int(np.ceil(cut.y + cut.height - 1e-6))
    part = _continued(pixels, x0, y0, x1, y1)
    # output pixel centre (i + 0.5) * cut / size  ->  pixel centre of the part
    sx, sy = cut.width / width, cut.height / height
    matrix = np.array([[sx, 0, cut.x - x0 + 0.5 * sx - 0.5], [0, sy, cut.y - y0 + 0.5 * sy - 0.5]])
    flags = (cv2.INTER_LINEAR if scale < 1 else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP
    out: Frame = cv2.warpAffine(part, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return out


def _shrunk(pixels: Frame, cut: Cut, factor: float) -> tuple[Frame, Cut]:
    """What the cut shows of the photo, area-averaged to about `factor` of its size, and the cut in it."""
    height, width = pixels.shape[:2]
    x0, y0 = max(0, int(cut.x)), max(0, int(cut.y))
    part = pixels[y0 : min(height, int(np.ceil(cut.y + cut.height))), x0 : min(width, int(np.ceil(cut.x + cut.width)))]
    small: Frame = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    fx, fy = small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]
    return small, Cut((cut.x - x0) * fx, (cut.y - y0) * fy, cut.width * fx, cut.height * fy)


def _continued(pixels: Frame, x0: int, y0: int, x1: int, y1: int) -> Frame:
    """The rectangle, with the photo's edge drawn out over what lies outside, blurred the more the farther out."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = max(0, -x0), max(0, -y0), max(0, x1 - width), max(0, y1 - height)
    inner = pixels[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
    if not (left or top or right or bottom):
        return inner
    whole: Frame = cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_REPLICATE)
    rows, columns = whole.shape[:2]
    side = min(rows, columns)
    ys = np.maximum(np.maximum(top - np.arange(rows), np.arange(rows) - (rows - 1 - bottom)), 0)
    xs = np.maximum(np.maximum(left - np.arange(columns), np.arange(columns) - (columns - 1 - right)), 0)
    away = (np.maximum(ys[:, None], xs[None, :]) / side)[..., None].astype(np.float32)
    factor = min(1.0, _BLURRED_PX / side)
    small = cv2.resize(whole, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    for distance, sigma in _SOFTENING:
        soft = cv2.GaussianBlur(small, (0, 0), max(0.5, sigma * min(small.shape[:2])), borderType=cv2.BORDER_REPLICATE)
        blurred = cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_LINEAR)
        share = np.minimum(away / np.float32(distance), 1)
        whole = np.rint(whole * (1 - share) + blurred * share).astype(np.uint8)
    return whole


def _inside(start: float, length: float, limit: int) -> float:
    """`start` moved so that start..start+length lies in 0..limit; centred over the photo when it cannot."""
    if length >= limit:
        return (limit - length) / 2
    return float(np.clip(start, 0, limit - length))


def _even(value: float) -> int:
    return max(2, int(value) // 2 * 2)
