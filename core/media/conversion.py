"""Converts a finished video into other formats: WebM (VP9 and Opus), and GIF, which is smaller and without sound.

A GIF holds no metadata but a comment, which follows the size and the colours of its header (GIF89a specification, 1990, section 24).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.filter import Graph

from core.errors import EncodingError, OptionError, disk_error

Format = Literal["webm", "gif"]
MIME_TYPES: dict[Format, str] = {"webm": "video/webm", "gif": "image/gif"}
MOST_S = 120.0
"""A conversion that takes longer is given up."""
MOST_BYTES = 256 * 2**20
GIF_MOST_S, GIF_SIDE_PX, GIF_FPS = 30.0, 320, Fraction(25, 2)
"""What a GIF can hold: its bytes grow with each frame as no video's do."""
_VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0", "row-mt": "1", "g": "128"}
_OPUS_RATE_HZ = 48_000
_GIF_HEADER_BYTES, _GIF_FLAGS_AT, _GIF_BLOCK_BYTES = 13, 10, 255
_GIF_COMMENT, _GIF_END = b"\x21\xfe", b"\0"
_OF_MP4 = ("major_brand", "minor_version", "compatible_brands", "encoder")


def convert(video: Path, target: Path, form: Format) -> None:
    """Writes `target`, which appears only when it is whole. video: an MP4 of the project's own; its metadata goes along where the format
    has a place for it.

    Raises OptionError (code gif_too_long, conversion_too_slow, conversion_too_large), EncodingError, OutputError.
    """
    part = target.with_name(f".{secrets.token_hex(8)}.{form}.part")
    until = time.monotonic() + MOST_S

    def check() -> None:
        if time.monotonic() > until:
            raise OptionError(
                f"The conversion took more than {MOST_S:g} s.", "Take the MP4.", code="conversion_too_slow", parameters={"limit_s": MOST_S}
            )
        if part.stat().st_size > MOST_BYTES:
            limit = f"{MOST_BYTES // 2**20} MiB"
            raise OptionError(
                f"The file would have more than {limit}.", "Take the MP4.", code="conversion_too_large", parameters={"limit": limit}
            )

    try:
        part.touch(0o600, exist_ok=False)
        (_webm if form == "webm" else _gif)(video, part, check)
        os.replace(part, target)
    except av.FFmpegError as error:
        raise EncodingError(f"The video could not be converted ({error}).") from error
    except OSError as error:
        raise disk_error(error, "The converted video cannot be written", "Make room on the disk.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _webm(video: Path, part: Path, check: Callable[[], None]) -> None:
    with av.open(str(video)) as source, av.open(str(part), "w", format="webm") as sink:
        sink.metadata.update({name: value for name, value in source.metadata.items() if name not in _OF_MP4})
        pictures, sounds = source.streams.video[0], source.streams.audio[0]
        picture: Any = sink.add_stream("libvpx-vp9", rate=pictures.average_rate, options=_VP9)
        picture.width, picture.height, picture.pix_fmt = pictures.width, pictures.height, "yuv420p"
        picture.time_base = pictures.time_base
        sound: Any = sink.add_stream("libopus", rate=_OPUS_RATE_HZ, layout=sounds.layout.name)
        resampler = av.AudioResampler(sound.format or "flt", sounds.layout.name, _OPUS_RATE_HZ)
        for frame in source.decode(pictures, sounds):
            check()
            if isinstance(frame, av.VideoFrame):
                frame.pict_type = av.video.frame.PictureType.NONE
                sink.mux(picture.encode(frame))
            else:
                for block in resampler.resample(frame):
                    sink.mux(sound.encode(block))
        for block in resampler.resample(None):
            sink.mux(sound.encode(block))
        sink.mux(picture.encode(None))
        sink.mux(sound.encode(None))


def _gif(video: Path, part: Path, check: Callable[[], None]) -> None:
    with av.open(str(video)) as source:
        comment = source.metadata.get("comment", "")
        seconds = float((source.duration or 0) / av.time_base)
        if seconds > GIF_MOST_S:
            raise OptionError(
                f"The video lasts {seconds:.0f} s, too long for a GIF.", f"A GIF holds {GIF_MOST_S:g} s at most: take the WebM or the MP4.",
                code="gif_too_long", parameters={"seconds": round(seconds), "limit_s": round(GIF_MOST_S)},
            )  # fmt: skip
    palette = _palette(video, check)
    with av.open(str(video)) as source, av.open(str(part), "w", format="gif", options={"loop": "0"}) as sink:
        stream: Any = None
        graph, pictures, colours = _graph(source.streams.video[0], "paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle", palette)
        colours.push(palette)
        colours.push(None)
        for n, frame in enumerate(_through(graph, pictures, source.decode(video=0), check)):
            if stream is None:
                stream = sink.add_stream("gif", rate=GIF_FPS)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "pal8"
            frame.pts, frame.time_base = n, 1 / GIF_FPS
            sink.mux(stream.encode(frame))
        if stream is None:
            raise EncodingError("There were no frames to encode.")
        sink.mux(stream.encode(None))
    if comment:
        part.write_bytes(_commented(part.read_bytes(), comment.encode()))


def _commented(gif: bytes, comment: bytes) -> bytes:
    """The file with a comment before its first picture."""
    flags = gif[_GIF_FLAGS_AT]
    at = _GIF_HEADER_BYTES + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)  # behind the colours that all pictures share
    pieces = [comment[first : first + _GIF_BLOCK_BYTES] for first in range(0, len(comment), _GIF_BLOCK_BYTES)]
    return gif[:at] + _GIF_COMMENT + b"".join(bytes([len(piece)]) + piece for piece in pieces) + _GIF_END + gif[at:]


def _palette(video: Path, check: Callable[[], None]) -> av.VideoFrame:
    """The 256 colours that fit the whole video."""
    with av.open(str(video)) as source:
        graph, pictures, _ = _graph(source.streams.video[0], "palettegen", "stats_mode=diff", None)
        found = list(_through(graph, pictures, source.decode(video=0), check))
    if not found:
        raise EncodingError("There were no frames to encode.")
    return found[-1]


def _graph(stream: Any, name: str, options: str, palette: av.VideoFrame | None) -> tuple[Graph, Any, Any]:
    """Fewer and smaller frames, then the filter. Returns the graph and where its pictures and its palette go in."""
    graph = Graph()
    pictures = graph.add_buffer(template=stream, time_base=stream.time_base)
    fewer = graph.add("fps", str(GIF_FPS))
    side = f"'min({GIF_SIDE_PX},iw)':'min({GIF_SIDE_PX},ih)'"
    smaller = graph.add("scale", f"{side}:force_original_aspect_ratio=decrease:flags=lanczos")
    last, end = graph.add(name, options), graph.add("buffersink")
    pictures.link_to(fewer)
    fewer.link_to(smaller)
    smaller.link_to(last, 0, 0)
    colours = None
    if palette is not None:
        colours = graph.add_buffer(width=palette.width, height=palette.height, format=palette.format.name, time_base=Fraction(1, 25))
        colours.link_to(last, 0, 1)
    last.link_to(end)
    graph.configure()
    return graph, pictures, colours


def _through(graph: Graph, entrance: Any, frames: Iterator[av.VideoFrame], check: Callable[[], None]) -> Iterator[av.VideoFrame]:
    for frame in frames:
        check()
        entrance.push(frame)
        yield from _ready(graph)
    entrance.push(None)
    yield from _ready(graph)


def _ready(graph: Graph) -> Iterator[Any]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return

