"""Framing: the part of the photo that a video shows, and its size in pixels.

Unless a crop is asked for, the cut holds head and shoulders and is centred on the face; it stays inside the photo where the photo is large
enough. Where it is not, the photo's edge is drawn out and increasingly blurred: no hard edge, and no second, mirrored face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.notices import notice
from core.picture_options import ASPECTS, Crop
from core.request import MAX_SIZE_PX, RenderOptions
from core.types import Frame

CUT_PER_FACE = 2.1
"""Side of the cut over the longer side of the face oval: the face fills a little less than half of the picture."""
MIN_CUT_PER_FACE = 1.3
"""The cut may shrink to this to stay inside the photo: ears and chin, wide open too, are just inside."""
ROOM_BELOW = 0.12
"""This part of the face stays free below the chin, even beyond the photo's edge: a wide mouth lowers the chin by 0.08."""
FACE_CENTRE_Y = 0.47
"""Height of the middle of the face in a square cut, from the top, as a share of the cut: shoulders lie below, space above."""
ROOM_ABOVE = 0.35
"""Share of what a tall cut has more than a square one that lies above the head."""
FACE_MARGIN = 0.05
"""Share of the face's width that a crop keeps free beside and above it: the head sways."""

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


@dataclass(frozen=True)
class Framed:
    """What a video shows: `cut` of the photo, at width x height pixels. moved: a crop was moved or enlarged to keep the face in."""

    cut: Cut
    width: int
    height: int
    moved: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        return (notice("crop_moved"),) if self.moved else ()


Box = tuple[float, float, float, float]


def framed(photo_width: int, photo_height: int, face_box: Box, options: RenderOptions) -> Framed:
    """The picture that `options` ask for (`size`, `max_size`, `aspect`, `crop`) of a photo with `face_box` (x0, y0, x1, y1), all in pixels.

    size is the shorter side, the longer one follows from the proportions and is at most MAX_SIZE_PX; "source" leaves the photo's own
    pixels, with max_size as bound on the longer side. Both sides are even.
    """
    whole = options.aspect == "source" or (options.aspect == "auto" and options.size == "source")
    ratio = ASPECTS.get(options.aspect)
    moved = False
    if options.crop is not None:
        asked = _cropped(photo_width, photo_height, options.crop, photo_width / photo_height if options.aspect == "source" else ratio)
        cut = _with_face(asked, photo_width, photo_height, face_box)
        moved = cut != asked
    elif whole:
        cut = Cut(0, 0, photo_width, photo_height)
    else:
        cut = face_cut(photo_width, photo_height, face_box, ratio or 1.0)
    return Framed(cut, *_output_size(cut, options), moved)


def face_cut(photo_width: int, photo_height: int, face_box: Box, ratio: float = 1.0) -> Cut:
    """The cut around `face_box` (x0, y0, x1, y1). ratio: its width over its height; the shorter side is that of a square cut."""
    x0, y0, x1, y1 = face_box
    face = max(x1 - x0, y1 - y0)
    across, down = max(ratio, 1.0), max(1 / ratio, 1.0)
    side = max(min(CUT_PER_FACE * face, photo_width / across, photo_height / down), MIN_CUT_PER_FACE * face)
    width, height = side * across, side * down
    x = (x0 + x1) / 2 - width / 2
    y = (y0 + y1) / 2 - FACE_CENTRE_Y * side - ROOM_ABOVE * (height - side)
    lowest = y1 + ROOM_BELOW * face - height
    return Cut(_inside(x, width, photo_width), max(_inside(y, height, photo_height), lowest), width, height)


def kept_box(photo_width: int, photo_height: int, face_box: Box) -> Box:
    """The part of the photo that every crop holds: the face, and the room that a wide mouth needs."""
    x0, y0, x1, y1 = face_box
    margin, room = FACE_MARGIN * (x1 - x0), ROOM_BELOW * max(x1 - x0, y1 - y0)
    return (
        max(0.0, x0 - margin), max(0.0, y0 - margin), min(float(photo_width), x1 + margin), min(float(photo_height), y1 + room)
    )  # fmt: skip


def _cropped(photo_width: int, photo_height: int, crop: Crop, ratio: float | None) -> Cut:
    """The crop in pixels; with a ratio the largest part of it that has it, around its middle."""
    x, y = crop[0] * photo_width, crop[1] * photo_height
    width, height = min(crop[2] * photo_width, photo_width - x), min(crop[3] * photo_height, photo_height - y)
    if ratio is None:
        return Cut(x, y, width, height)
    fitting_w, fitting_h = min(width, height * ratio), min(height, width / ratio)
    return Cut(x + (width - fitting_w) / 2, y + (height - fitting_h) / 2, fitting_w, fitting_h)


def _with_face(cut: Cut, photo_width: int, photo_height: int, face_box: Box) -> Cut:
    """The same cut where the face and the room that a wide mouth needs are in it, else one moved, and enlarged where that is not enough."""
    x0, y0, x1, y1 = kept_box(photo_width, photo_height, face_box)
    if cut.x <= x0 and cut.y <= y0 and x1 <= cut.x + cut.width and y1 <= cut.y + cut.height:
        return cut
    scale = max(1.0, (x1 - x0) / cut.width, (y1 - y0) / cut.height)
    width, height = cut.width * scale, cut.height * scale
    x, y = cut.x + (cut.width - width) / 2, cut.y + (cut.height - height) / 2
    x, y = _inside(min(max(x, x1 - width), x0), width, photo_width), _inside(min(max(y, y1 - height), y0), height, photo_height)
    return Cut(x, y, width, height)


def _output_size(cut: Cut, options: RenderOptions) -> tuple[int, int]:
    """Width and height of the video in pixels."""
    if options.size == "source":
        return source_size(round(cut.width), round(cut.height), options.max_size)
    shorter = options.size
    longer = min(MAX_SIZE_PX, _even(round(shorter * max(cut.width, cut.height) / min(cut.width, cut.height))))
    if longer == MAX_SIZE_PX:
        shorter = _even(round(longer * min(cut.width, cut.height) / max(cut.width, cut.height)))
    return (longer, shorter) if cut.width > cut.height else (shorter, longer)


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
