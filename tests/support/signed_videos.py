"""What the tests of provenance disclose, at which size, and a way to damage a file."""

from __future__ import annotations

import datetime
from pathlib import Path

from core.provenance.disclosure import dated, disclosure

ABOUT = dated(disclosure("lite", "3.abc", "photo", True), datetime.date(2026, 11, 21))
SIDE = 64


def altered(path: Path, folder: Path, at: int) -> Path:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    copy = folder / "altered.mp4"
    copy.write_bytes(data)
    return copy
