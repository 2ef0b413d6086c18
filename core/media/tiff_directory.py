"""Bounds what a directory of TIFF, which is EXIF too, has Pillow and libtiff read: its entries may all name the same megabytes."""

from __future__ import annotations

import os
from typing import IO

import numpy as np
from PIL import TiffImagePlugin

MOST_ENTRIES, MOST_NUMBERS = 2**16, 2**17
"""Of one directory: entries, and numbers in all of them. One strip for each row, or tiles of 16 pixels, are far from that."""
_SHARED = 2
"""How often the bytes of a file may be named: some writers let both resolutions be the same number."""
_BYTES = np.array([1, 2, 6, 7])
"""Types whose values are bytes or text, which become no numbers."""
_UNIT_BYTES = np.array([8, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 8, 8, 8, 8, 8])
"""Of one value of each type; of one that is unknown, the most."""


class TiffDirectory(TiffImagePlugin.ImageFileDirectory_v2):
    """As Pillow's, which keeps the bytes of every entry. `load` raises ValueError, before anything is read, for more than the bounds."""

    def load(self, fp: IO[bytes]) -> None:
        start = fp.tell()
        n_bytes = fp.seek(0, os.SEEK_END)
        fp.seek(start)
        order, wide = self._endian, self._bigtiff
        length, whole = (8, f"{order}u8") if wide else (2, f"{order}u4")
        n = int.from_bytes(fp.read(length), "little" if order == "<" else "big")
        if n > MOST_ENTRIES:
            raise ValueError(f"{n} entries")
        entry = np.dtype([("tag", f"{order}u2"), ("type", f"{order}u2"), ("count", whole), ("value", whole)])
        table = fp.read(n * entry.itemsize)
        entries = np.frombuffer(table, entry, len(table) // entry.itemsize)
        counts = entries["count"].astype(np.float64)
        nbytes = counts @ _UNIT_BYTES[np.where(entries["type"] < len(_UNIT_BYTES), entries["type"], 0)]
        numbers = counts[~np.isin(entries["type"], _BYTES)].sum()
        if nbytes > _SHARED * n_bytes or numbers > MOST_NUMBERS:
            raise ValueError(f"entries of {nbytes:.0f} bytes")
        fp.seek(start)
        super().load(fp)
