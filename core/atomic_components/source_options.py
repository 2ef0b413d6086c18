"""The options of registration and their checks, importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import OptionError


@dataclass(frozen=True)
class SourceOptions:
    """How a source is read and cropped. Names and defaults as published, except the last.

    max_size: bound on the longer side of the frames worked on, 0 = none. template_n_frames: frames of a video to use, -1 = all.
    crop_scale: side of the crop over the extent of the landmarks. crop_vx_ratio, crop_vy_ratio: its shift along the eyes (to their right)
    and from eyes to mouth, in sides. crop_flag_do_rot: turn it upright. smo_k_s: frames a video's motion is averaged over (0 and 1: off;
    even values act as the next odd one).
    keep_detail: a photo larger than max_size whose face would have fewer pixels than the crop at that size is worked on at the size where
    it has as many (at most its own). The published pipeline does not; for photos within max_size there is no difference.
    """

    max_size: int = 1920
    template_n_frames: int = -1
    crop_scale: float = 2.3
    crop_vx_ratio: float = 0.0
    crop_vy_ratio: float = -0.125
    crop_flag_do_rot: bool = True
    smo_k_s: int = 13
    keep_detail: bool = True

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "max_size": (-1, 16_384),
            "template_n_frames": (-1, 1_000_000),
            "crop_scale": (0.5, 10.0),
            "crop_vx_ratio": (-1.0, 1.0),
            "crop_vy_ratio": (-1.0, 1.0),
            "smo_k_s": (0, 1000),
        }
        for name, (low, high) in ranges.items():
            value: Any = getattr(self, name)
            whole = isinstance(low, int)
            right_kind = isinstance(value, int | np.integer) or (not whole and isinstance(value, float | np.floating))
            if isinstance(value, bool) or not right_kind or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise OptionError(f"{name} is {value!r}.", f"It must be {kind} from {low:g} to {high:g}.")
        for name in ("crop_flag_do_rot", "keep_detail"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise OptionError(f"{name} is {getattr(self, name)!r}.", "It must be True or False.")
