"""The options of the motion stage (`audio2motion.py`), and what follows from them for windows and delay."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from core.atomic_components.pose import MOTION_DIM, Array
from core.errors import OptionError

WINDOW_FRAMES = 80
"""Of the published model, and what overlaps are counted in."""
MAX_WINDOW = 1000
MAX_STEPS = 1000
MAX_SMOOTHING = WINDOW_FRAMES


@dataclass(frozen=True, eq=False)
class Audio2MotionOptions:
    """Names and defaults as published.

    overlap_v2: frames that windows of 80 share, 0..79; a model with other windows makes as many new frames in each.
    online_mode: the window policy, see above. sampling_timesteps: denoising steps, 1..1000.
    smo_k_d: frames averaged to smooth scale, angles and translation, 0..80 (0 and 1: off; even values act as the next odd one).
    fix_kp_cond: every so many windows start from the source's motion instead of the last frame, 0 = never. fix_kp_cond_dim: (start, end) of
    the 265 dims that go on from the last frame all the same; (0, 202) resets the expression only.
    v_min_max_for_clip: array (2 or more, 265), rows 0 and 1 are bounds of every row made.
    whole: False makes the offline policy leave out the second smoothing, as the published online class does with online_mode off.
    context_frames: online, frames before the new ones in a window, 1..overlap_v2; 0: overlap_v2. emit_tail: online, see above.
    seq_frames, trained_context: of the model: the frames of its windows, and how many before the new ones it was trained for (0: all that
    overlap), which online windows have where context_frames is 0.
    published_count: True emits the rows that the published online pipeline emits: up to `valid` too many at the end, none at all for
    speech shorter than `valid`, and 80 - 2 * overlap_v2 too few at the start for overlaps below 40. For comparison only.
    """

    overlap_v2: int = 10
    online_mode: bool = False
    sampling_timesteps: int = 50
    smo_k_d: int = 3
    fix_kp_cond: int = 0
    fix_kp_cond_dim: tuple[int, int] | None = None
    v_min_max_for_clip: ArrayLike | None = None
    whole: bool = True
    context_frames: int = 0
    emit_tail: bool = False
    published_count: bool = False
    seq_frames: int = WINDOW_FRAMES
    trained_context: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "overlap_v2": (0, WINDOW_FRAMES - 1),
            "sampling_timesteps": (1, MAX_STEPS),
            "smo_k_d": (0, MAX_SMOOTHING),
            "fix_kp_cond": (0, 1_000_000),
            "context_frames": (0, WINDOW_FRAMES - 1),
            "seq_frames": (2, MAX_WINDOW),
            "trained_context": (0, MAX_WINDOW - 1),
        }
        for name, (low, high) in ranges.items():
            object.__setattr__(self, name, whole_number(name, getattr(self, name), low, high))
        for name in ("online_mode", "whole", "emit_tail", "published_count"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise OptionError(f"{name} is {getattr(self, name)!r}.", "It must be True or False.")
        if self.context_frames > self.overlap:
            raise OptionError(f"context_frames is {self.context_frames}.", f"It must not be more than overlap_v2, {self.overlap}.")
        if not self.online_mode and (self.context_frames or self.emit_tail):
            name = "context_frames" if self.context_frames else "emit_tail"
            raise OptionError(f"{name} is for speech that comes in while motion is made.", "Ask for online_mode, too.")
        if self.fix_kp_cond_dim is not None:
            object.__setattr__(self, "fix_kp_cond_dim", _span(self.fix_kp_cond_dim))
        if self.v_min_max_for_clip is not None:
            object.__setattr__(self, "v_min_max_for_clip", _bounds(self.v_min_max_for_clip))

    @property
    def valid(self) -> int:
        """New frames of each window after the first."""
        return min(WINDOW_FRAMES - self.overlap_v2, self.seq_frames)

    @property
    def overlap(self) -> int:
        """Frames of the model's windows that are not new."""
        return self.seq_frames - self.valid

    @property
    def shared(self) -> int:
        """Frames of a window that were in the one before."""
        return self.context_frames or (self.online_mode and min(self.trained_context, self.overlap)) or self.overlap

    @property
    def window(self) -> int:
        """Frames of a window that are used: those shared, and new ones."""
        return self.shared + self.valid

    @property
    def fuse(self) -> int:
        """Frames over which a window is faded into the one before."""
        return min(self.shared, self.valid) if self.online_mode else self.overlap

    @property
    def lag(self) -> int:
        """Last rows of a window that wait for the next one."""
        return 0 if self.emit_tail else self.fuse

    @property
    def lead_in(self) -> int:
        """Frames of silence before the speech."""
        return self.shared if self.online_mode else 0

    def features_before(self, row: int) -> int:
        """Features that must have come before row number `row` (from 0) is handed out, unless the speech ends before."""
        late = self.smo_k_d // 2 if not self.online_mode and self.whole and self.smo_k_d > 1 else 0
        at_once = self.window - self.lead_in  # features of the first window, whose last `lag` rows wait for the next one
        windows_more = max(0, -(-(row + 1 + late + self.lag - at_once) // self.valid))
        return at_once + windows_more * self.valid


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int of low..high; OptionError otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise OptionError(f"{name} is {value!r}.", f"It must be a whole number from {low} to {high}.")
    return number


def _span(value: Any) -> tuple[int, int]:
    start, end = value if isinstance(value, list | tuple) and len(value) == 2 else (None, None)
    try:
        return (
            whole_number("fix_kp_cond_dim[0]", start, 0, MOTION_DIM),
            whole_number("fix_kp_cond_dim[1]", end, int(start or 0), MOTION_DIM),
        )
    except (OptionError, TypeError):
        raise OptionError(f"fix_kp_cond_dim is {value!r}.", f"It must be (start, end) with 0 <= start <= end <= {MOTION_DIM}.") from None


def _bounds(value: ArrayLike) -> Array:
    remedy = f"It must be an array (2 or more, {MOTION_DIM}) whose row 0 is nowhere above row 1."
    try:
        bounds = np.array(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise OptionError("v_min_max_for_clip is not an array of numbers.", remedy) from None
    if bounds.ndim != 2 or len(bounds) < 2 or bounds.shape[1] != MOTION_DIM or not (bounds[0] <= bounds[1]).all():
        raise OptionError(f"v_min_max_for_clip is an array {bounds.shape} with row 0 above row 1 or of the wrong shape.", remedy)
    bounds.flags.writeable = False
    return bounds
