"""The options of the stitch stage, for a session and for single frames, importable without torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from core.atomic_components.motion_options import whole_number
from core.atomic_components.pose import N_KEYPOINTS, Array
from core.errors import OptionError

MIXED_KEYS = ("exp", "pitch", "yaw", "roll", "t", "scale", "kp")
MAX_FRAMES = 100_000_000


@dataclass(frozen=True, eq=False)
class FrameControls:
    """The options of one frame (`ctrl_info`) or of all frames (`overall_ctrl_info`). None: not given.

    vad_alpha: 0..1, how much of the expression comes from the motion, the rest from the source (the whole face, as published).
    delta_pitch, delta_yaw, delta_roll: degrees added, -180..180. alpha_pitch, alpha_yaw, alpha_roll: factor of the angle after
    that, -10..10. delta_exp: (63,) added to the expression. fade_alpha: 0..1, how much is motion while fading (`fade_type`).
    fade_out_keys: what fades in this frame, instead of the session's; a None in a mapping (`of`) is all keys, as it is in the session's.
    """

    vad_alpha: float | None = None
    delta_pitch: float | None = None
    delta_yaw: float | None = None
    delta_roll: float | None = None
    alpha_pitch: float | None = None
    alpha_yaw: float | None = None
    alpha_roll: float | None = None
    delta_exp: ArrayLike | None = None
    fade_alpha: float | None = None
    fade_out_keys: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in CONTROL_RANGES.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _real(name, value, low, high))
        if self.delta_exp is not None:
            object.__setattr__(self, "delta_exp", _offsets("delta_exp", self.delta_exp)[0])
        if self.fade_out_keys is not None:
            object.__setattr__(self, "fade_out_keys", _keys("fade_out_keys", self.fade_out_keys))

    @classmethod
    def of(cls, values: FrameControls | Mapping[str, Any]) -> FrameControls:
        """From a mapping by name; OptionError for a name that is not a control."""
        if isinstance(values, FrameControls):
            return values
        known = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(values, Mapping):
            raise OptionError(f"ctrl_info holds {values!r} for a frame.", f"It must be a mapping of {', '.join(known)}.")
        for name in values:
            if name not in known:
                raise OptionError(f"ctrl_info holds {name!r}.", f"It may hold {', '.join(known)}.")
        everything = {"fade_out_keys": MIXED_KEYS} if values.get("fade_out_keys", ()) is None else {}  # as published, a None that is given
        return cls(**{**values, **everything})

    def over(self, other: FrameControls) -> FrameControls:
        """These, and `other`'s where these ask nothing."""
        if other is NO_CONTROLS:
            return self
        if self is NO_CONTROLS:
            return other
        mine = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return dataclasses.replace(other, **{name: value for name, value in mine.items() if value is not None})


CONTROL_RANGES: dict[str, tuple[float, float]] = {
    "vad_alpha": (0.0, 1.0),
    "delta_pitch": (-180.0, 180.0),
    "delta_yaw": (-180.0, 180.0),
    "delta_roll": (-180.0, 180.0),
    "alpha_pitch": (-10.0, 10.0),
    "alpha_yaw": (-10.0, 10.0),
    "alpha_roll": (-10.0, 10.0),
    "fade_alpha": (0.0, 1.0),
}
NO_CONTROLS = FrameControls()


def _real(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:  # also catches NaN
        raise OptionError(f"{name} is {value!r}.", f"It must lie between {low:g} and {high:g}.")
    return number  # a Python float never widens float32 arrays, a NumPy float64 would


def _offsets(name: str, value: ArrayLike) -> Array:
    """(n, 63) float32, read-only, from (n, 63) or (63,)."""
    size = 3 * N_KEYPOINTS
    try:
        array = np.array(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise OptionError(f"{name} is not an array of numbers.", f"It must be an array (n, {size}).") from None
    if not array.size or array.shape[-1:] != (size,) or array.ndim > 2 or not np.isfinite(array).all():
        raise OptionError(f"{name} is an array {array.shape}.", f"It must be an array (n, {size}) of numbers, n at least 1.")
    array = array.reshape(-1, size)
    array.flags.writeable = False
    return array


def _keys(name: str, value: Any) -> tuple[str, ...]:
    keys = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence | set | frozenset | Mapping) else (value,)
    for key in keys:
        if key not in MIXED_KEYS:
            raise OptionError(f"{name} holds {key!r}.", f"It may hold {', '.join(MIXED_KEYS)}.")
    return keys


@dataclass(frozen=True, eq=False)
class MotionStitchOptions:
    """Names and defaults as published.

    N_d: frames of the video where known, -1 = a stream; sets the blinks and where `fades` ends.
    use_d_keys: what comes from the motion, the rest from the source: names of exp, pitch, yaw, roll, t, scale, or a mapping of them to
    factors. None: a photo takes all but the scale, a video the expression only. relative_d: motion is measured from its first frame (in
    streams: from the first window's first), False: it replaces the source's. drive_eye: the motion moves the eyes too; None: for photos.
    delta_eye_arr: (n, 63) one blink, row 0 the resting eye; needs drive_eye. delta_eye_open_n: frames between blinks: below 0 never,
    0 random 60..100, above 0 always as many, a list in turn.
    fade_type: what fade_alpha fades to: "" nothing, "d0" the first frame, "s" the source. fade_out_keys: what fades (None = all).
    flag_stitching: False leaves the stitching network out. ctrl_info: controls by frame number, or a list of them; overall_ctrl_info: of
    every frame, for what the frame's own leave open.
    published: repeats three oddities of the published pipeline, see `MotionStitch`.
    """

    N_d: int = -1
    use_d_keys: tuple[str, ...] | Mapping[str, float] | None = None
    relative_d: bool = True
    drive_eye: bool | None = None
    delta_eye_arr: ArrayLike | None = None
    delta_eye_open_n: int | Sequence[int] = 0
    fade_type: str = ""
    fade_out_keys: tuple[str, ...] | None = ("exp",)
    flag_stitching: bool = True
    ctrl_info: Mapping[int, FrameControls | Mapping[str, Any]] | Sequence[FrameControls | Mapping[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    overall_ctrl_info: FrameControls | Mapping[str, Any] = NO_CONTROLS
    published: bool = False

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("N_d", video_length(self.N_d))
        keys = self.use_d_keys
        if keys is not None:
            names = _keys("use_d_keys", keys)
            put("use_d_keys", {k: _real(f"use_d_keys[{k}]", keys[k], -10, 10) for k in names} if isinstance(keys, Mapping) else names)
        for name in ("relative_d", "drive_eye", "flag_stitching", "published"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_) and not (name == "drive_eye" and value is None):
                raise OptionError(f"{name} is {value!r}.", "It must be True or False.")
        if self.delta_eye_arr is not None:
            put("delta_eye_arr", _offsets("delta_eye_arr", self.delta_eye_arr))
        put("delta_eye_open_n", _gaps(self.delta_eye_open_n))
        if self.fade_type not in ("", "d0", "s"):
            raise OptionError(f"fade_type is {self.fade_type!r}.", 'It must be "", "d0" or "s".')
        if self.fade_out_keys is not None:
            put("fade_out_keys", _keys("fade_out_keys", self.fade_out_keys))
        put("ctrl_info", by_frame(self.ctrl_info))
        put("overall_ctrl_info", FrameControls.of(self.overall_ctrl_info))


def video_length(value: Any) -> int:
    """N_d as an int: -1 (a stream), or 1 and more frames."""
    number = whole_number("N_d", value, -1, MAX_FRAMES)
    if number == 0:
        raise OptionError("N_d is 0.", "It must be the number of frames, or -1 for a stream.")
    return number


def _gaps(value: Any) -> int | tuple[int, ...]:
    if isinstance(value, list | tuple | np.ndarray):
        if not len(value):
            raise OptionError("delta_eye_open_n is an empty list.", "It must be a whole number, or a list of 1 or more from 1.")
        return tuple(whole_number("delta_eye_open_n", gap, 1, MAX_FRAMES) for gap in value)
    return whole_number("delta_eye_open_n", value, -MAX_FRAMES, MAX_FRAMES)


def by_frame(value: Any) -> dict[int, FrameControls]:
    if not isinstance(value, Mapping | list | tuple):
        raise OptionError(f"ctrl_info is {value!r}.", "It must be a mapping of frame numbers to controls, or a list of controls.")
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    # A copy: a session never writes into what its caller keeps. Numbers past the end are nobody's frame, hence harmless.
    return {whole_number("a frame of ctrl_info", i, -MAX_FRAMES, MAX_FRAMES): FrameControls.of(controls or {}) for i, controls in pairs}


def fades(n_frames: int, fade_in: int = -1, fade_out: int = -1) -> dict[int, float]:
    """fade_alpha by frame for a video of `n_frames`: up over the first `fade_in` frames, down to 0 over the last (0 and below: none).

    The first of the fade-out's fade_out + 1 frames still has 1, the last 0. Where both meet, the fade-out holds, as published.
    """
    alphas = {i: i / fade_in for i in range(whole_number("fade_in", fade_in, -MAX_FRAMES, MAX_FRAMES))}
    if whole_number("fade_out", fade_out, -MAX_FRAMES, MAX_FRAMES) > 0:
        end = whole_number("N_d", n_frames, 1, MAX_FRAMES) - 1  # a stream cannot know where to begin
        for i in range(max(0, end - fade_out), n_frames):  # a fade longer than the video starts before it
            alphas[i] = max((end - i) / fade_out, 0.0)
    return alphas


def with_fades(
    controls: Mapping[int, FrameControls | Mapping[str, Any]] | Sequence[FrameControls | Mapping[str, Any]],
    n_frames: int,
    fade_in: int = -1,
    fade_out: int = -1,
) -> dict[int, FrameControls]:
    """New `ctrl_info` with the alphas of `fades` on top of `controls`, which stay as they are."""
    merged = by_frame(controls)
    for i, alpha in fades(n_frames, fade_in, fade_out).items():
        merged[i] = dataclasses.replace(merged.get(i, NO_CONTROLS), fade_alpha=alpha)
    return merged
