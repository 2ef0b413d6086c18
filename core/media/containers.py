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
_TOO_MANY = "it has too many parts"


def open_container(file: BinaryIO, demuxer: str, codecs: frozenset[str], options: Mapping[str, str] | None = None) -> Any:
    """demuxer: FFmpeg's name, told by `sniff`. codecs: FFmpeg's names of the decoders that may be used while it looks into the file. Raises
    FFmpegError, ValueError or OSError.
    """
    if demuxer == "mov" and has_too_many_boxes(file):
        raise OSError(_TOO_MANY)
    opening = _Opening(file)
    container = av.open(
        opening,
        "r",
        format=demuxer,
        options={
            "codec_whitelist": ",".join(sorted(codecs)), "protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS), **(options or {})
        },  # fmt: skip
        metadata_errors="replace",
        io_open=_refuse_open,
    )
    if opening.may_seek < 0:
        container.close()
        raise OSError(_TOO_MANY)
    opening.may_seek = math.inf
    return container


class _Opening:
    """The file, as PyAV uses one. may_seek: how often; for what tries it more often it has ended, and cannot be read."""

    def __init__(self, file: BinaryIO) -> None:
        self.tell, self._file = file.tell, file
        self.may_seek: float = MOST_SEEKS

    def read(self, n: int) -> bytes:
        return self._file.read(n) if self.may_seek >= 0 else b""

    def seek(self, to: int, whence: int = 0) -> int:
        self.may_seek -= 1
        return self._file.seek(to, whence) if self.may_seek >= 0 else -1  # which FFmpeg takes for an error


def is_allowed(stream: Any, codecs: frozenset[str]) -> bool:
    """Whether a stream is decoded by a decoder of the list."""
    context = stream.codec_context
    return context is not None and context.codec.name in codecs


def _refuse_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a file from outside may not open other files")
