"""The options that say which part of the photo a video shows, and the check of their values."""

from __future__ import annotations

import re
from typing import Literal

from core.errors import OptionError

ASPECTS: dict[str, float] = {"1:1": 1.0, "9:16": 9 / 16, "16:9": 16 / 9, "4:5": 4 / 5}
"""Width over height of the proportions that have a name, beside "auto" and "source"."""
Aspect = Literal["auto", "1:1", "9:16", "16:9", "4:5", "source"]
Crop = tuple[float, float, float, float]
"""Left, top, width and height of a rectangle of the upright photo, as shares of its width and height."""
MIN_CROP = 0.01
"""Of the photo's width or height."""
ROUNDING = 1e-4
"""Sums of shares that were rounded may reach so far over 1."""


_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def verify_picture(aspect: object, crop: object, background: object) -> None:
    """Raises OptionError for what is no Aspect, neither a Crop nor None, or no background: "keep", "blur" or "#rrggbb"."""
    offered = ["auto", *ASPECTS, "source"]
    if not isinstance(aspect, str) or aspect not in offered:
        shown = str(aspect)[:40]
        hint = f"Choose one of: {', '.join(offered)}."
        raise OptionError(f"aspect is {shown!r}.", hint, code="bad_aspect", parameters={"value": shown, "offered": offered})
    if crop is not None and not _is_crop(crop):
        shown = str(crop)[:80]
        hint = "It must be left, top, width and height of a part of the photo, in shares of its width and height, such as 0.1,0,0.8,0.9."
        raise OptionError(f"crop is {shown}.", hint, code="bad_crop", parameters={"value": shown})

    if not isinstance(background, str) or not is_background(background):
        shown = str(background)[:40]
        hint = 'It must be "keep", "blur" or a colour such as "#00b140".'
        raise OptionError(f"background is {shown!r}.", hint, code="bad_background", parameters={"value": shown})


def is_background(text: str) -> bool:
    """Whether the option `background` may be this."""
    return text in ("keep", "blur") or _COLOUR.fullmatch(text) is not None


def _is_crop(crop: object) -> bool:
    if not isinstance(crop, tuple) or len(crop) != 4 or any(isinstance(each, bool) or not isinstance(each, int | float) for each in crop):
        return False
    for start, length in ((crop[0], crop[2]), (crop[1], crop[3])):
        if not (start >= 0 and length >= MIN_CROP and start + length <= 1 + ROUNDING):  # also False for NaN
            return False
    return True
