"""How many boxes an MP4 or QuickTime file has (ISO/IEC 14496-12, 4.2): a box may be empty, and each costs whoever reads the file time."""

from __future__ import annotations

import io
from typing import BinaryIO

MOST_BOXES = 2**18
"""A file of 300 MB may be 40 million empty boxes, each of which takes FFmpeg a microsecond; one of an hour, a fragment each second, has 40
thousand.
"""
MOST_NESTED = 16
"""Boxes within each other; further in none is counted, and FFmpeg reads none."""
_HOLDERS = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"mvex", b"moof", b"traf", b"mfra", b"ilst", b"wave", b"tapt"}
)
"""Boxes of nothing but boxes."""


def has_too_many_boxes(file: BinaryIO) -> bool:
    """Whether there are more than MOST_BOXES, those within others counted too; no more than these are looked at. Leaves the file at its
    beginning.
    """
    size = file.seek(0, io.SEEK_END)
    at = n_boxes = 0
    ends = [size]
    while ends:
        if at + 8 > ends[-1]:
            at = max(at, ends.pop())
            continue
        file.seek(at)
        head = file.read(16)
        nbytes, name = int.from_bytes(head[:4], "big"), head[4:8]
        n_boxes += 1
        if n_boxes > MOST_BOXES:
            break
        header = 8
        if nbytes == 1 and len(head) == 16:
            nbytes, header = int.from_bytes(head[8:16], "big"), 16
        end = ends[-1] if nbytes == 0 else min(at + nbytes, ends[-1])
        if end < at + header:  # no box: whoever reads the file reads no further in here
            at = ends.pop()
        elif name in _HOLDERS and len(ends) < MOST_NESTED:
            at += header
            ends.append(end)
        else:
            at = end
    file.seek(0)
    return n_boxes > MOST_BOXES
