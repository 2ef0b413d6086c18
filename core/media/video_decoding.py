"""Decodes the pictures of a video file one by one; the only place where foreign video meets FFmpeg.

As for sound (`decode.py`): the demuxer is named by `sniff`, decoders come from an allow-list, and opening anything beyond the given bytes
is refused. Pictures that were recorded as two interlaced fields come out deinterlaced.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.filter import Graph
from av.stream import Disposition

from core.errors import ImageError
from core.media.containers import MAX_PIXELS, is_allowed, open_container
from core.media.formats import VIDEO_FORMATS
from core.media.picture_parts import jpeg_has_many_parts
from core.media.sniff import HEAD_BYTES, VIDEO_DEMUXERS, identify

_CODECS = frozenset(
    {
        "h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "mjpeg", "prores", "ffv1", "mpeg1video",
        "mpeg2video", "msmpeg4v2", "msmpeg4v3", "h263", "flv", "vp6", "vp6f", "dnxhd", "dvvideo", "huffyuv", "ffvhuff", "utvideo",
        "theora", "vc1", "wmv1", "wmv2", "wmv3", "gif", "cfhd", "qtrle", "png", "rawvideo",
    }
)  # fmt: skip
_LOOKED_INTO = _CODECS - {"mjpeg"}
"""Of those, the ones that FFmpeg may use while it opens a file: a picture of a motion JPEG may take hours, and is looked at before."""
MAX_EMPTY_PACKETS = 2000
"""Packets in a row that give no frame: a file that is all damage ends here."""
_DEINTERLACE = "mode=send_frame:parity=auto:deint=interlaced"
"""A frame for each that was stored; frames that do not say that they are interlaced stay as they are."""
_LEAST_SIDE = 4
"""Of a frame that the filter takes; smaller ones, as a file may have midway, stay as they are, too."""


class VideoDecoder:
    """The first video track of one file. Not thread-safe; `close` it. Raises ImageError where it is no video, or has no picture."""

    def __init__(self, file: BinaryIO | bytes, name: str) -> None:
        self.name = name
        self.container = open_video(io.BytesIO(file) if isinstance(file, bytes) else file, name)
        try:
            self.stream = picture_track(self.container, name)
        except BaseException:
            self.container.close()
            raise
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        self.deinterlaced = False
        """Whether interlaced frames were met so far."""

    @property
    def time_base(self) -> Fraction:
        """Of `pts`, seconds."""
        return Fraction(self.stream.time_base)

    @property
    def pixel_shape(self) -> Fraction:
        """Width of a stored pixel over its height."""
        ratio = self.stream.sample_aspect_ratio
        return Fraction(ratio) if ratio and Fraction(1, 4) <= ratio <= 4 else Fraction(1)

    def frames(self, from_pts: int | None = None) -> Iterator[av.VideoFrame]:
        """The frames in the order in which they are shown, from the first or from the last key frame at or before `from_pts`; damaged
        packets are passed over. `pts` of a frame is in `time_base`, None where the file does not say. Raises ImageError where nothing can
        be decoded.
        """
        if from_pts is not None:
            try:
                self.container.seek(from_pts, stream=self.stream)
            except (av.FFmpegError, OSError) as error:
                raise unreadable(self.name, error) from error
        return self._deinterlaced(self._decoded())

    def close(self) -> None:
        self.container.close()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        got_any, empty = False, 0
        error: Exception | None = None
        packets = self.container.demux(self.stream)
        while empty < MAX_EMPTY_PACKETS:
            try:
                packet = next(packets, None)
                frames = decoded(packet) if packet is not None else []
            except (av.FFmpegError, ValueError, OSError) as caught:
                error, empty = caught, empty + 1
                continue
            if packet is None:
                break
            empty = 0 if frames else empty + 1
            for frame in frames:
                got_any = True
                yield frame
        if not got_any:
            raise unreadable(self.name, error)

    def _deinterlaced(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """From the first interlaced frame on all pass a filter, which looks at the frame before and after each."""
        graph: _Deinterlacer | None = None
        for frame in frames:
            if min(frame.width, frame.height) < _LEAST_SIDE or (graph is None and not frame.interlaced_frame):
                if graph is not None:
                    yield from graph.rest()
                    graph = None
                yield frame
                continue
            if graph is None or not graph.takes(frame):
                if graph is not None:
                    yield from graph.rest()
                graph, self.deinterlaced = _Deinterlacer(frame, self.time_base), True
            yield from graph.push(frame)
        if graph is not None:
            yield from graph.rest()


class _Deinterlacer:
    """Frames of one size and format."""

    def __init__(self, frame: av.VideoFrame, time_base: Fraction) -> None:
        self._of, self._time_base = _shape(frame), time_base
        graph: Any = Graph()
        self._graph = graph
        self._in = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=time_base)
        bwdif, end = graph.add("bwdif", _DEINTERLACE), graph.add("buffersink")
        self._in.link_to(bwdif)
        bwdif.link_to(end)
        graph.configure()

    def takes(self, frame: av.VideoFrame) -> bool:
        return _shape(frame) == self._of

    def push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        self._in.push(frame)
        return self._ready()

    def rest(self) -> Iterator[av.VideoFrame]:
        self._in.push(None)
        return self._ready()

    def _ready(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            if frame.pts is not None:  # the filter counts in halves
                frame.pts = round(frame.pts * Fraction(frame.time_base) / self._time_base)
                frame.time_base = self._time_base
            yield frame


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def open_video(file: BinaryIO, name: str) -> Any:
    """The opened container of a seekable file, from its beginning. Raises ImageError where it is no video."""
    file.seek(0)
    content = identify(file.read(HEAD_BYTES))
    file.seek(0)
    if content.decoder not in VIDEO_DEMUXERS:
        raise ImageError(
            f"{name} is not a video but {content.name}.", f"Give a {VIDEO_FORMATS} file.", code="not_a_video", parameters={"name": name}
        )
    try:
        return open_container(file, content.decoder, _LOOKED_INTO)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise unreadable(name, error) from error


def decoded(packet: Any) -> list[av.VideoFrame]:
    """The frames that a packet completes. Raises FFmpegError; ValueError for a picture whose decoding would take for ever."""
    if packet.stream.codec_context.name == "mjpeg" and jpeg_has_many_parts(bytes(packet), several=True):
        raise ValueError("a picture of too many parts")
    return packet.decode()  # type: ignore[no-any-return]


def picture_track(container: Any, name: str) -> Any:
    """The first video track that is not a cover. Raises ImageError where there is none, or none that may be decoded."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:  # the cover of a song
            continue
        if not is_allowed(stream, _CODECS):
            codec = "?" if stream.codec_context is None else stream.codec_context.codec.name
            raise ImageError(
                f"{name} has pictures of a kind that is not read ({codec}).",
                "Save it with H.264.",
                code="video_codec",
                parameters={"name": name, "codec": codec},
            )
        return stream
    raise ImageError(
        f"{name} has no picture, only sound.", "Give a photo or a video of a face.", code="photo_is_recording", parameters={"name": name}
    )


def unreadable(name: str, error: Exception | None) -> ImageError:
    reason = f" ({getattr(error, 'strerror', None) or error})" if error else ""
    return ImageError(
        f"{name} looks like a video but cannot be decoded{reason}.",
        "Is the file complete?",
        code="video_damaged",
        parameters={"name": name},
    )
