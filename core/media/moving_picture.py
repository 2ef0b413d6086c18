"""Encodes a few pictures as one that moves, for the cards of the pages."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from core.types import Frame

QUALITY = 55


def as_webp(pictures: Sequence[Frame], fps: float) -> bytes:
    """(H, W, 3) uint8 RGB each, all of one size, as an animated WebP file that goes on for ever."""
    first, *others = [Image.fromarray(picture) for picture in pictures]
    out = io.BytesIO()
    first.save(out, "WEBP", save_all=True, append_images=others, duration=round(1000 / fps), loop=0, quality=QUALITY, method=2)
    return out.getvalue()
