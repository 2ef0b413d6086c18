"""Makes the pictures of a clip out of its decoded frames: numbered as they are stored, RGB, upright, all of one size."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import cv2
import numpy as np

from core.media.timeline import Timeline
from core.media.tone_mapping import Kind, ToneMapper, kind_of
from core.media.video_decoding import unreadable
from core.types import Frame

_UNSPECIFIED, _BT709 = 2, 1
"""ITU-T H.273 codes of matrices."""
_HD_WIDTH, _HD_HEIGHT = 1280, 720
"""From here on a video that does not say otherwise has BT.709's colours, as players take it; below, BT.601's."""


class PictureMaker:
    """Not thread-safe. pixel_shape: width of a stored pixel over its height. size: width and height of every picture; None: as they
    come.
    """

    def __init__(self, pixel_shape: Fraction, size: tuple[int, int] | None = None) -> None:
        self._pixel_shape, self._size = pixel_shape, size
        self._mapper: ToneMapper | None = None
        self._maps: tuple[int, int, str, Kind] | None = None

    def __call__(self, frame: av.VideoFrame) -> Frame:
        """(height, width, 3) uint8 RGB, contiguous and the caller's own. A frame of another size is fitted in, with black beside it.

        Raises ImageError where its pixels are of a kind that cannot be converted.
        """
        try:
            return self._made(frame)
        except (av.FFmpegError, ValueError) as error:
            raise unreadable("The video", error) from error

    def _made(self, frame: av.VideoFrame) -> Frame:
        if frame.colorspace == _UNSPECIFIED and (frame.width >= _HD_WIDTH or frame.height >= _HD_HEIGHT):
            frame.colorspace = _BT709
        kind, rotation = kind_of(frame), frame.rotation
        is_view = kind is None and frame.format.name == "rgb24"  # of the decoder's own memory
        if kind is not None:
            frame = self._mapped(frame, kind)
        width = max(1, round(frame.width * self._pixel_shape))
        pixels = frame.to_ndarray(format="rgb24") if width == frame.width else frame.to_ndarray(format="rgb24", width=width)
        turned = np.rot90(pixels, rotation // 90) if rotation % 360 else pixels  # counter-clockwise: phones store how they were held
        if self._size is not None and (turned.shape[1], turned.shape[0]) != self._size:
            return _fitted(turned, *self._size)
        return np.array(turned) if is_view else np.ascontiguousarray(turned)

    def _mapped(self, frame: av.VideoFrame, kind: Kind) -> av.VideoFrame:
        maps = frame.width, frame.height, frame.format.name, kind
        if self._mapper is None or self._maps != maps:
            self._mapper, self._maps = ToneMapper(frame, kind), maps
        return self._mapper(frame)


def numbered(frames: Iterator[av.VideoFrame], timeline: Timeline, first: int = 0) -> Iterator[tuple[int, av.VideoFrame]]:
    """Each frame with its number on the timeline. first: of the first frame, where the timeline has no times."""
    number = first - 1
    for frame in frames:
        if timeline.counted or frame.pts is None:
            number += 1
        else:
            number = max(int(np.searchsorted(timeline.pts, frame.pts, side="right")) - 1, 0)
        yield number, frame


def _fitted(pixels: Frame, width: int, height: int) -> Frame:
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    inner = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.resize(np.ascontiguousarray(pixels), inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    whole = np.zeros((height, width, 3), np.uint8)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    whole[y : y + inner[1], x : x + inner[0]] = small
    return whole
