"""How a video source is played under a recording: what the options may be, and which of its frames is shown when."""

from __future__ import annotations

from typing import Any, Literal, get_args

from core.errors import OptionError

Longer = Literal["bounce", "loop", "freeze"]
"""What the picture does when the recording is longer than the clip: it plays forth and back, or from the start again, or its end stays."""
Shorter = Literal["cut", "rest"]
"""What follows when the clip is longer: nothing, or the rest of the clip with a closed mouth."""
MIN_FPS, MAX_FPS = 10, 60
CLIP_OPTIONS = ("fps", "longer", "shorter", "keep_background")
"""The options that mean something for a video source only."""


def clip_index(i: int, n: int, longer: Longer) -> int:
    """Which of a clip's `n` frames frame `i` of the result shows. Forth and back, the end frames come twice (0 1 2 2 1 0 0 1 ...)."""
    if longer == "freeze":
        return min(i, n - 1)
    turn, rest = divmod(i, n)
    return n - 1 - rest if longer == "bounce" and turn % 2 else rest


def verify_clip(fps: Any, longer: Any, shorter: Any, keep_background: Any) -> None:
    """Raises OptionError for the first value that does not exist."""
    if fps != "source" and (isinstance(fps, bool) or not isinstance(fps, int) or not MIN_FPS <= fps <= MAX_FPS):
        raise OptionError(
            f"fps is {fps!r}.",
            f'It must be a whole number from {MIN_FPS} to {MAX_FPS}, or "source".',
            code="option_out_of_range",
            parameters={"name": "fps", "value": str(fps)[:40], "low": MIN_FPS, "high": MAX_FPS},
        )
    for name, value, offered in (("longer", longer, get_args(Longer)), ("shorter", shorter, get_args(Shorter))):
        if value not in offered:
            raise OptionError(
                f"{name} is {value!r}.",
                f"Choose one of: {', '.join(offered)}.",
                code="bad_choice",
                parameters={"name": name, "value": str(value)[:40], "offered": list(offered)},
            )
    if isinstance(keep_background, bool) or not isinstance(keep_background, int | float) or not 0 <= keep_background <= 1:
        raise OptionError(
            f"keep_background is {keep_background!r}.",
            "It must lie between 0 and 1.",
            code="option_out_of_range",
            parameters={"name": "keep_background", "value": str(keep_background)[:40], "low": 0, "high": 1},
        )
