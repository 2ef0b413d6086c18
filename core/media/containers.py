"""Opens what came from outside as a container: by a demuxer chosen beforehand, with decoders from a list, and nothing but its bytes.

FFmpeg applies the list only where it looks into a file, and not where packets are decoded, so it is applied here once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, BinaryIO, NoReturn

import av

from core.media.box_count import has_too_many_boxes

MAX_PIXELS = 2**26
"""Of a frame, which may claim another size than the header; also of those that FFmpeg decodes while it opens a file."""
MOST_SEEKS = 2**17
"""While a file is opened: 100 MB may be 12 million empty chunks, each of which FFmpeg passes over with four. Usual files take dozens."""
BUFFER_BYTES = 2**15
"""What FFmpeg reads at a time to take to pieces; whole pictures and attachments it reads in one go."""
MOST_TAKEN_TO_PIECES = 2**23
"""Bytes of Matroska that are, while a file is opened: each may cost 65 of memory, an empty element two or three bytes. Of usual files it is
less than the 5 MB that FFmpeg looks into.
"""
_TOO_MANY = "it has too many parts"


def open_container(file: BinaryIO, demuxer: str, codecs: frozenset[str], options: Mapping[str, str] | None = None) -> Any:
    """demuxer: FFmpeg's name, told by `sniff`. codecs: FFmpeg's names of the decoders that may be used while it looks into the file. Raises
    FFmpegError, ValueError or OSError.
    """
    if demuxer == "mov" and has_too_many_boxes(file):
        raise OSError(_TOO_MANY)
    opening = _Opening(file, MOST_TAKEN_TO_PIECES if demuxer == "matroska" else math.inf)
    container = av.open(
        opening,
        "r",
        format=demuxer,
        buffer_size=BUFFER_BYTES,
        options={
            "codec_whitelist": ",".join(sorted(codecs)), "protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS), **(options or {})
        },  # fmt: skip
        metadata_errors="replace",
        io_open=_refuse_open,
    )
    if opening.has_ended:
        container.close()
        raise OSError(_TOO_MANY)
    opening.may_seek = opening.may_take = math.inf
    return container


class _Opening:
    """The file, as PyAV uses one. may_seek: how often. may_take: bytes to take to pieces. For what tries more it has ended, and cannot be
    read.
    """

    def __init__(self, file: BinaryIO, may_take: float) -> None:
        self.tell, self._file = file.tell, file
        self.may_seek, self.may_take = float(MOST_SEEKS), may_take

    @property
    def has_ended(self) -> bool:
        return self.may_seek < 0 or self.may_take < 0

    def read(self, n: int) -> bytes:
        if n <= BUFFER_BYTES:
            self.may_take -= n
        return b"" if self.has_ended else self._file.read(n)

    def seek(self, to: int, whence: int = 0) -> int:
        self.may_seek -= 1
        return -1 if self.has_ended else self._file.seek(to, whence)  # which FFmpeg takes for an error


def is_allowed(stream: Any, codecs: frozenset[str]) -> bool:
    """Whether a stream is decoded by a decoder of the list."""
    context = stream.codec_context
    return context is not None and context.codec.name in codecs


def _refuse_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a file from outside may not open other files")
