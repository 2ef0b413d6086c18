"""Small video files, made by PyAV: any container, codec, rate, colours and fields, with a sound track of their own."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from core.media.source import Clip, load_source
from core.settings import Settings
from core.types import Frame

SIZE = (96, 64)
RATE_HZ = 16_000


def picture(i: int, size: tuple[int, int] = SIZE) -> Frame:
    """Grey of 3 i, with a bright bar that moves to the right by 3 pixels a frame."""
    width, height = size
    pixels = np.full((height, width, 3), 20 + 3 * i % 200, np.uint8)
    at = 3 * i % (width - 8)
    pixels[height // 4 : height // 2, at : at + 8] = (250, 40, 40)
    return pixels


def clip_file(
    pictures: Iterable[Frame | av.VideoFrame],
    codec: str = "libx264",
    form: str = "mp4",
    rate: Fraction | int = 25,
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    gop: int = 12,
    times_ms: Sequence[int] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_late_s: float = 0.0,
    set_up: Mapping[str, Any] | None = None,
    muxer: Mapping[str, str] | None = None,
) -> bytes:
    """times_ms: when each is shown, where not at the rate. sound: (n,) of RATE_HZ, beginning so late. set_up: attributes of the encoder.
    muxer: its options.
    """
    out = io.BytesIO()
    with av.open(out, "w", format=form, options=dict(muxer or {})) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in (set_up or {}).items():
            setattr(stream.codec_context, name, value)
        track: Any = container.add_stream("aac" if form != "avi" else "mp3", rate=RATE_HZ, layout="mono") if sound is not None else None
        for i, each in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(each, "rgb24") if isinstance(each, np.ndarray) else each
            if i == 0:
                stream.width, stream.height = frame.width, frame.height
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            heard = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), "fltp", "mono")
            heard.sample_rate, heard.time_base, heard.pts = RATE_HZ, Fraction(1, RATE_HZ), round(sound_late_s * RATE_HZ)
            container.mux(track.encode(heard))
            container.mux(track.encode(None))
    return out.getvalue()


def clip(data: bytes, settings: Settings | None = None) -> Clip:
    """The clip of a file, as the program reads it."""
    source = load_source(data, settings or Settings())
    assert isinstance(source, Clip)
    return source


def moving(n: int, **how: Any) -> Clip:
    """A clip of `n` different pictures."""
    return clip(clip_file([picture(i) for i in range(n)], **how))


def plane_frame(values: tuple[int, int, int], pix_fmt: str, size: tuple[int, int] = SIZE, **colour: int) -> av.VideoFrame:
    """A frame of one colour, as Y, Cb and Cr; colour: colorspace, color_range, color_trc, color_primaries by their codes."""
    frame = av.VideoFrame(*size, pix_fmt)
    kind = np.uint16 if "10" in pix_fmt else np.uint8
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind).tobytes())
    for name, code in colour.items():
        setattr(frame, name, code)
    return frame
