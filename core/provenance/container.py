"""Reads the boxes of an MP4 file with bounds on their size, depth and number."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.errors import InputError

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""Marks the box that holds a C2PA manifest (C2PA specification, embedding in BMFF)."""
_MAX_BOXES = 200_000
"""In one row. A fragmented video has two a segment."""
_MAX_KEYS, _MAX_TEXT_BYTES = 256, 4096


@dataclass(frozen=True)
class Box:
    """kind: four bytes. start, end: of the content in the file, bytes."""

    kind: bytes
    start: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes in a row from `start` to `end`; stops at the first that does not fit. Raises InputError for a file of endless boxes."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        header = 8
        if size == 1 and len(head) == 16:
            (size,), header = struct.unpack(">Q", head[8:]), 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            return
        yield Box(kind, start + header, start + size)
        start += size
    raise InputError(f"The file has more than {_MAX_BOXES} parts.", "It is damaged or not a video.")


def read_metadata(file: BinaryIO, movie: Box) -> dict[str, str]:
    """The texts by key in the movie header (`moov`), which is where FFmpeg puts them with use_metadata_tags."""
    for user_data in boxes(file, movie.start, movie.end):
        if user_data.kind == b"udta":
            for meta in boxes(file, user_data.start, user_data.end):
                if meta.kind == b"meta":
                    return _texts(file, Box(meta.kind, meta.start + 4, meta.end))
    return {}


def _texts(file: BinaryIO, meta: Box) -> dict[str, str]:
    """Keys in one box, and in another values that count them from 1."""
    keys: list[str] = []
    texts: dict[str, str] = {}
    for part in boxes(file, meta.start, meta.end):
        if part.kind == b"keys":
            named = boxes(file, part.start + 8, part.end)
            keys = [_text(file, box.start, box.end) for box, _ in zip(named, range(_MAX_KEYS), strict=False)]
        elif part.kind == b"ilst":
            for value, _ in zip(boxes(file, part.start, part.end), range(_MAX_KEYS), strict=False):
                index = int.from_bytes(value.kind) - 1
                data = next(boxes(file, value.start, value.end), None)
                if 0 <= index < len(keys) and data is not None and data.kind == b"data":
                    texts.setdefault(keys[index], _text(file, data.start + 8, data.end))
    return texts


def _text(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    return file.read(max(0, min(end - start, _MAX_TEXT_BYTES))).decode("utf-8", "replace")
