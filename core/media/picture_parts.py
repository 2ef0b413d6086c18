"""How many parts a JPEG or a PNG has: parsers and decoders take a step for each, some of which go through the whole picture."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_SCANS = 100
"""Of a JPEG: each may be 80 bytes that go over all pixels. Writers make ten."""
MOST_SEGMENTS, MOST_BETWEEN = 1024, 2**20
"""Of a JPEG, 64 KiB at most each: Pillow joins those of EXIF one by one. Bytes between them: it passes them over one by one."""
MOST_CHUNKS = 2**16
"""Of a PNG; writers take thousands of bytes for each."""
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_SCAN, _END = 0xDA, 0xD9
_ALONE = range(0xD0, 0xDA)
"""Markers of JPEG that no segment follows."""


def has_many_parts(data: bytes, decoder: str) -> bool:
    """data: a whole file. decoder: Pillow's name of its format; those that count no parts have few."""
    if decoder == "JPEG":
        return jpeg_has_many_parts(data, several=False)
    return decoder == "PNG" and sum(1 for _ in zip(_chunks(data), range(MOST_CHUNKS + 1), strict=False)) > MOST_CHUNKS


def jpeg_has_many_parts(data: bytes, several: bool) -> bool:
    """several: all pictures in it count, else the first, which others, and videos, may follow. By
    https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1.1.
    """
    at, n_scans, n_segments, n_between = 2, 0, 0, 0
    pattern = _MARKER
    while (found := pattern.search(data, at)) is not None:
        marker, begin = data[found.end() - 1], found.end()
        n_between += found.start() - at if pattern is _MARKER else 0
        if marker == _END and n_scans and not several:
            return False
        n_segments += 1
        n_scans += marker == _SCAN
        if n_scans > MOST_SCANS or n_segments > MOST_SEGMENTS or n_between > MOST_BETWEEN:
            return True
        at = begin if marker in _ALONE else begin + int.from_bytes(data[begin : begin + 2], "big")
        pattern = _AFTER_SCAN if marker == _SCAN else _MARKER
    return False


def _chunks(png: bytes) -> Iterator[None]:
    at = 8
    while at + 8 <= len(png):
        yield
        at += 12 + int.from_bytes(png[at : at + 4], "big")
