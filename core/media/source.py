"""Reads a source, told apart by content: a photo, or a video that is decoded frame by frame.

    from core.media.source import load_source
    source = load_source("portrait.mp4", Settings())       # Photo or Clip

This is the only place where foreign video meets FFmpeg. As for sound (`decode.py`): the demuxer is named by `sniff`, decoders come from an
allow-list, opening anything beyond the given bytes is refused, and sizes are checked before anything is decoded. Sound is ignored.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from core.errors import ImageError
from core.media.image import ImageSource, check_size, load_image
from core.media.sniff import HEAD_BYTES, identify
from core.notices import notice
from core.settings import Settings
from core.types import FPS, Frame, Photo

SUPPORTED = "MP4, MOV or WebM"
_DEMUXERS = frozenset({"mov", "matroska"})
_CODECS = "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,mpeg4,mjpeg,prores,ffv1"
MAX_EMPTY_PACKETS = 2000
"""Packets in a row that give no frame: a file that is all damage ends here."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One video source, not decoded yet.

    data: its bytes. width, height: of its frames, upright, in pixels. sha256: hex digest of data. max_frames: as many are used; it plays
    forth and back, so that the rest would hardly be missed. n_frames: about how many that makes at 25 a second, 0 where the file does not
    say. warnings: as in Photo.
    """

    data: bytes = field(repr=False)
    name: str
    width: int
    height: int
    sha256: str
    max_frames: int
    n_frames: int = 0
    warnings: tuple[str, ...] = ()

    def frames(self, fps: float | None = FPS) -> Iterator[Frame]:
        """The frames, (height, width, 3) uint8 RGB, upright, at most `max_frames`; each call decodes anew, one frame at a time.

        fps: the frame shown at each 1/fps second, so that a clip of another rate, or of a phone's uneven one, plays at its own speed; a
        clip of that rate gives each frame once. None: every stored frame, whatever its time, as Ditto's published code reads it.
        Raises ImageError where nothing can be decoded, or frames change their size.
        """
        n, limit = 0, self.max_frames
        shown: Frame | None = None
        since = first = None
        last_step = 1 / FPS
        for time, frame in _decoded(self.data, self.name, (self.width, self.height)):
            if n >= limit:
                return
            if fps is None or time is None:
                yield frame
                n += 1
                continue
            if shown is not None and since is not None and first is not None:
                last_step = max(time - since, 0.0)
                while n < limit and first + n / fps < (since + time) / 2:  # nearer to the frame before than to this one
                    yield shown
                    n += 1
            shown, since = frame, time
            first = time if first is None else first
        while shown is not None and since is not None and first is not None and fps is not None:
            if n >= limit or not first + n / fps < since + min(last_step, 1.0) - 0.5 / fps:
                return
            yield shown
            n += 1


def load_source(source: ImageSource, settings: Settings) -> Photo | Clip:
    """A photo as `load_image` takes it, or a video: a file, or the bytes of one. Raises ImageError where it is neither or too large."""
    if isinstance(source, np.ndarray):
        return load_image(source, settings)
    if isinstance(source, bytes):
        data, name = source, "The video"
        if identify(data[:HEAD_BYTES]).decoder not in _DEMUXERS:
            return load_image(source, settings)
    else:
        path = Path(source)
        if identify(_head(path)).decoder not in _DEMUXERS:
            return load_image(source, settings)
        data, name = _read(path, settings.max_video_bytes + 1), path.name
    if len(data) > settings.max_video_bytes:
        limit = f"{settings.max_video_bytes / 2**20:.4g} MiB"
        raise ImageError(
            f"{name} has more than {limit}.",
            "Use a shorter part of it, or save it smaller.",
            code="upload_too_large",
            parameters={"name": name, "limit": limit},
        )
    return load_clip(data, name, settings)


def load_clip(data: bytes, name: str, settings: Settings) -> Clip:
    """A video from its bytes; its first frame is decoded, to know that there is one and how large it is."""
    with _opened(data, name) as container:
        context = picture_track(container, name).codec_context
        check_size(context.width, context.height, name, settings)
        duration_s = (container.duration or 0) / av.time_base
    warnings: tuple[str, ...] = ()
    max_frames = max(1, round(settings.max_video_s * FPS))
    if duration_s > settings.max_video_s + 1:
        warnings = (notice("video_cut", seconds=f"{settings.max_video_s:g}"),)
    for _, frame in _decoded(data, name, None):
        height, width = frame.shape[:2]
        check_size(width, height, name, settings)
        n_frames = min(max_frames, round(max(duration_s, 0) * FPS))
        return Clip(data, name, width, height, hashlib.sha256(data).hexdigest(), max_frames, n_frames, warnings)
    raise ImageError(f"{name} has no frames.", "Is the file complete?", code="video_damaged", parameters={"name": name})


def _head(path: Path) -> bytes:
    """The beginning of a regular file; b"" for anything else, which `load_image` has the words for."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise ImageError(f"The video {path} cannot be read ({error.strerror}).", "Check the path.") from error


def _opened(data: bytes, name: str) -> Any:
    return open_video(io.BytesIO(data), name)


def open_video(file: BinaryIO, name: str) -> Any:
    """The opened container of a seekable file, from its beginning. Raises ImageError where it is no video."""
    file.seek(0)
    content = identify(file.read(HEAD_BYTES))
    file.seek(0)
    if content.decoder not in _DEMUXERS:
        raise ImageError(
            f"{name} is not a video but {content.name}.", f"Give a {SUPPORTED} file.", code="not_a_video", parameters={"name": name}
        )
    try:
        return av.open(
            file,
            "r",
            format=content.decoder,
            options={"codec_whitelist": _CODECS, "protocol_whitelist": "none"},
            metadata_errors="replace",
            io_open=_refuse_open,
        )
    except (av.FFmpegError, ValueError, OSError) as error:
        raise unreadable(name, error) from error


def picture_track(container: Any, name: str) -> Any:
    """The first video track that is not a cover. Raises ImageError where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song
            return stream
    raise ImageError(
        f"{name} has no picture, only sound.", "Give a photo or a video of a face.", code="photo_is_recording", parameters={"name": name}
    )


def _decoded(data: bytes, name: str, size: tuple[int, int] | None, max_pixels: int = 2**26) -> Iterator[tuple[float | None, Frame]]:
    """(time in seconds or None, frame) of the first video track; damaged packets are passed over."""
    got_any, empty = False, 0
    error: Exception | None = None
    with _opened(data, name) as container:
        stream = picture_track(container, name)
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(max_pixels)}  # frames inside may claim another size than the header
        packets = container.demux(stream)
        while empty < MAX_EMPTY_PACKETS:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet is not None else []
            except (av.FFmpegError, ValueError, OSError) as caught:
                error, empty = caught, empty + 1
                continue
            if packet is None:
                break
            empty = 0 if frames else empty + 1
            for frame in frames:
                pixels = _upright(frame.to_ndarray(format="rgb24"), frame.rotation)
                now = (pixels.shape[1], pixels.shape[0])
                if size is not None and now != size:
                    was, is_now = (f"{width}×{height}" for width, height in (size, now))
                    raise ImageError(f"{name} changes its size midway ({was} to {is_now} pixels).", "Save it again at one size.")
                size, got_any = now, True
                yield frame.time, pixels
    if not got_any:
        raise unreadable(name, error)


def _upright(pixels: NDArray[Any], rotation: int) -> Frame:
    """rotation: degrees counter-clockwise, in which phones store how they were held."""
    return np.ascontiguousarray(np.rot90(pixels, rotation // 90)) if rotation % 360 else np.ascontiguousarray(pixels)


def unreadable(name: str, error: Exception | None) -> ImageError:
    reason = f" ({getattr(error, 'strerror', None) or error})" if error else ""
    return ImageError(
        f"{name} looks like a video but cannot be decoded{reason}.",
        "Is the file complete?",
        code="video_damaged",
        parameters={"name": name},
    )


def _refuse_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a video may not open other files")
