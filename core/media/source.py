"""Reads a source, told apart by content: a photo, or a video that is decoded frame by frame.

    from core.media.source import load_source
    source = load_source("portrait.mp4", Settings())       # Photo or Clip

How a video is decoded, and what of FFmpeg it can reach, is in `video_decoding.py`; sizes are checked before anything is decoded.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from core.errors import ImageError
from core.media.clip_pictures import PictureMaker, numbered
from core.media.files import FileKind
from core.media.formats import PHOTO_FORMATS, VIDEO_FORMATS
from core.media.image import ImageSource, check_size, load_image
from core.media.sniff import is_video_file, plays
from core.media.timeline import Timeline, read_timeline
from core.media.tone_mapping import HDR, kind_of
from core.media.video_decoding import VideoDecoder
from core.notices import notice
from core.settings import Settings
from core.types import FPS, Frame, Photo

_FILE = FileKind("photo or video", f"{PHOTO_FORMATS}; {VIDEO_FORMATS}", "use a shorter part of it, or save it smaller", ImageError)
_LOOKED_AT = 3
"""Frames at the beginning that tell of what kind a clip is."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One video source, not decoded yet.

    data: its bytes. width, height: of its frames, upright, with square pixels. sha256: hex digest of data. timeline: when which of its
    stored pictures is shown. max_frames: of 25 a second; as many are used. warnings: as in Photo.
    """

    data: bytes = field(repr=False)
    name: str
    width: int
    height: int
    sha256: str
    max_frames: int
    timeline: Timeline = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def n_frames(self) -> int:
        """Frames at 25 a second."""
        return len(self.shown(FPS))

    @property
    def rate(self) -> Fraction:
        """Its own frames per second, as a constant rate from 10 to 60."""
        return self.timeline.rate

    def output_fps(self, fps: int | Literal["source"]) -> float:
        """The frames per second that the option `fps` asks for."""
        return float(self.rate) if fps == "source" else float(fps)

    def shown(self, fps: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """(n,) number of the stored picture that is shown at each 1/fps second: all that are used."""
        return self.timeline.shown(fps, round(self.max_frames * fps / FPS) or 1)

    def frames(self, fps: float | None = FPS) -> Iterator[Frame]:
        """The frames, (height, width, 3) uint8 RGB, upright, at most `max_frames` for 25 a second; each call decodes anew, one at a time.

        fps: the picture nearest to each 1/fps second, so that a clip of another rate, or of a phone's uneven one, plays at its own speed; a
        clip of that rate gives each once. Where one is damaged, the one before it stays. None: every stored picture, whatever its
        time, as Ditto's published code reads it. Raises ImageError where nothing can be decoded.
        """
        with closing(VideoDecoder(self.data, self.name)) as decoder:
            make = PictureMaker(decoder.pixel_shape, (self.width, self.height))
            if fps is None:
                for n, picture in enumerate(decoder.frames()):
                    if n >= self.max_frames:
                        return
                    yield make(picture)
                return
            coming = numbered(decoder.frames(), self.timeline)
            now, after = next(coming), next(coming, None)
            for number in self.shown(fps).tolist():
                while after is not None and after[0] <= number:
                    now, after = after, next(coming, None)
                yield make(now[1])  # anew, where it is shown again: each belongs to whoever takes it


def load_source(source: ImageSource, settings: Settings) -> Photo | Clip:
    """A photo as `load_image` takes it, or a video: a file, or the bytes of one. Raises ImageError where it is neither or too large."""
    if isinstance(source, np.ndarray):
        return load_image(source, settings)
    if isinstance(source, bytes):
        data, name = source, "The video"
        if not plays(io.BytesIO(data)):
            return load_image(source, settings)
    else:
        path = Path(source)
        if not _is_regular(path):
            _FILE.read(path, settings.max_video_bytes)  # which says why not
        if not is_video_file(path):
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
    """A video from its bytes; its first frames are decoded, to know that there are any, how large they are and of what kind."""
    with closing(VideoDecoder(data, name)) as decoder:
        context = decoder.stream.codec_context
        check_size(context.width, context.height, name, settings)
        pictures = [picture for picture, _ in zip(decoder.frames(), range(_LOOKED_AT), strict=False)]
        # Before it is made: with its pixels' shape it may be four times as wide as the file says, or of another size altogether.
        check_size(round(pictures[0].width * decoder.pixel_shape), pictures[0].height, name, settings)
        height, width = PictureMaker(decoder.pixel_shape)(pictures[0]).shape[:2]
        interlaced = decoder.deinterlaced
    timeline = read_timeline(data, name, settings.max_video_s)
    warnings: list[str] = []
    if timeline.goes_on:
        warnings.append(notice("video_cut", seconds=f"{settings.max_video_s:g}"))
    if kind_of(pictures[0]) in HDR:
        warnings.append(notice("video_hdr"))
    if interlaced:
        warnings.append(notice("video_interlaced"))
    max_frames = max(1, round(settings.max_video_s * FPS))
    return Clip(data, name, width, height, hashlib.sha256(data).hexdigest(), max_frames, timeline, tuple(warnings))


def _is_regular(path: Path) -> bool:
    """Whether it may be opened at all, and has something in it; `_FILE` has the words for what may not."""
    try:
        status = path.stat()
        return stat.S_ISREG(status.st_mode) and status.st_size > 0
    except (OSError, ValueError):
        return False


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise ImageError(f"The video {path} cannot be read ({error.strerror}).", "Check the path.") from error
