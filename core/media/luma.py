"""Decodes the luma of some frames of a video file, spread over its length, within a bound of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError
from core.media.video_decoding import MAX_EMPTY_PACKETS, decoded, open_video, picture_track, unreadable

MAX_FRAMES = 250
_MAX_DECODED_PIXELS = MAX_FRAMES * 1920 * 1080
MAX_FRAME_PIXELS = 4096 * 2304
_SPOTS = 5
"""Of a longer video as many places are looked at, each from a key frame on."""

Luma = NDArray[np.uint8]


def luma_frames(file: BinaryIO, name: str) -> Iterator[Luma]:
    """At most MAX_FRAMES frames, (height, width) uint8, upright; fewer of large ones. Damaged packets are passed over.

    file: seekable; what `video_decoding` reads, told by content. Raises ImageError where it is none, or nothing can be decoded.
    """
    got_any = False
    with open_video(file, name) as container:
        stream = picture_track(container, name)
        context = stream.codec_context
        stream.thread_type = "AUTO"
        context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
        pixels = max(1, context.width * context.height)
        if pixels > MAX_FRAME_PIXELS:
            raise ImageError(
                f"{name} has frames of {context.width}×{context.height} pixels.",
                f"At most {MAX_FRAME_PIXELS} pixels are looked at: save it smaller.",
                code="frames_too_large",
                parameters={"name": name, "width": context.width, "height": context.height, "limit": MAX_FRAME_PIXELS},
            )
        left = max(1, min(MAX_FRAMES, _MAX_DECODED_PIXELS // pixels))
        for start_us, count in _places(container, stream, left):
            if start_us is not None:
                try:
                    container.seek(start_us)
                except (av.FFmpegError, ValueError, OSError):
                    break  # what was seen is all there is
            for luma in _decoded(container, stream, count):
                got_any = True
                yield luma
    if not got_any:
        raise unreadable(name, None)


def _places(container: Any, stream: Any, frames: int) -> list[tuple[int | None, int]]:
    """Where to begin, in microseconds (None: where it is), and how many frames to take there."""
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    length_s = (container.duration or 0) / av.time_base
    if length_s * rate <= 1.5 * frames:
        return [(None, frames)]
    start = container.start_time or 0
    each = max(1, frames // _SPOTS)
    return [(int(start + length_s * av.time_base * spot / _SPOTS) if spot else None, each) for spot in range(_SPOTS)]


def _decoded(container: Any, stream: Any, count: int) -> Iterator[Luma]:
    empty = 0
    packets = container.demux(stream)
    while empty < MAX_EMPTY_PACKETS:
        try:
            packet = next(packets, None)
            frames = decoded(packet) if packet is not None else []
        except (av.FFmpegError, ValueError, OSError):
            empty += 1
            continue
        if packet is None:
            return
        empty = 0 if frames else empty + 1
        for frame in frames:
            yield _luma(frame)
            count -= 1
            if count <= 0:
                return


def _luma(frame: Any) -> Luma:
    gray: Luma = frame.to_ndarray(format="gray")
    return np.ascontiguousarray(np.rot90(gray, frame.rotation // 90)) if frame.rotation % 360 else gray
