"""Combines a request, a checkpoint's configuration and the defaults into the options of Ditto's stages.

As published, a request goes before the configuration (`default_kwargs`), which goes before the defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from core.atomic_components.condition_handler import ConditionOptions
from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.pose import Motion, SourceMotion
from core.atomic_components.source_options import SourceOptions
from core.atomic_components.stitch_options import MotionStitchOptions, with_fades
from core.clip_options import Longer
from core.errors import OptionError
from core.request import DEFAULT, Controls, Framing, RenderOptions

if TYPE_CHECKING:
    from core.models.config import SetupDefaults  # its package brings torch, and options are checked where that is not there

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class SessionOptions:
    """The options of every stage after registration. character: whose motion is used instead of the source's. longer: how a video source
    is played.
    """

    condition: ConditionOptions
    motion: Audio2MotionOptions
    stitch: MotionStitchOptions
    character: SourceMotion | None
    longer: Longer = "bounce"


def source_options(framing: Framing, defaults: SetupDefaults | None = None) -> SourceOptions:
    """defaults: of the configuration, None while it is not known. Raises OptionError for a value out of range."""
    return _filled(SourceOptions, vars(framing), defaults)


def session_options(controls: Controls, render: RenderOptions, defaults: SetupDefaults | None = None) -> SessionOptions:
    """defaults: as in `source_options`. Raises OptionError for a value out of range, and for options that have no meaning together."""
    requested = {**vars(controls), **vars(render)}
    stitch = _filled(MotionStitchOptions, requested, defaults)
    fades = [0 if value is DEFAULT else value for value in (controls.fade_in, controls.fade_out)]
    if any(fade > 0 for fade in fades):
        name = "fade_in" if fades[0] > 0 else "fade_out"
        if not stitch.fade_type:
            hint = 'Say what the motion fades from and to: fade_type "d0" (the first frame) or "s" (the source).'
            raise OptionError(f"{name} is given without fade_type.", hint)
        if stitch.N_d < 0:
            raise OptionError(f"{name} is asked for a video of unknown length.", "Say its number of frames: N_d.")
        stitch = dataclasses.replace(stitch, ctrl_info=with_fades(stitch.ctrl_info, stitch.N_d, *fades))
    character = _value("ch_info", requested, defaults)
    return SessionOptions(
        _filled(ConditionOptions, requested, defaults),
        _filled(Audio2MotionOptions, requested, defaults),
        stitch,
        None if character is None or character is DEFAULT else character_motion(character),
        render.longer,
    )


def character_motion(info: Any) -> SourceMotion:
    """The published `ch_info` mapping (x_s_info_lst, sc, eye_open_lst, eye_ball_lst) as a SourceMotion. Raises OptionError."""
    if isinstance(info, SourceMotion):
        return info
    try:
        # As published, only the first frame says where the motion starts; eyes are followed over as many frames as they have.
        open_, ball = (
            np.concatenate([np.asarray(row, np.float32).reshape(-1, width) for row in info[name]])
            for name, width in (("eye_open_lst", 2), ("eye_ball_lst", 6))
        )
        frames = [Motion.of(info["x_s_info_lst"][0])] * len(open_)
        return SourceMotion(frames, np.asarray(info["sc"], np.float32), open_, ball, is_image=len(frames) == 1)
    except Exception as error:  # a mapping from outside can be wrong in any way
        raise OptionError(
            f"ch_info is not a character ({type(error).__name__}: {error}).", "It holds x_s_info_lst, sc, eye_open_lst and eye_ball_lst."
        ) from error


def _filled(kind: type[T], requested: Mapping[str, Any], defaults: SetupDefaults | None) -> T:
    """A stage's options: each field as requested, else as the configuration says, else the stage's own default."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values = {name: _value(name, requested, defaults) for name in names}
    return kind(**{name: value for name, value in values.items() if value is not DEFAULT})


def _value(name: str, requested: Mapping[str, Any], defaults: SetupDefaults | None) -> Any:
    """As requested, else as the configuration says, else DEFAULT."""
    value = requested.get(name, DEFAULT)
    return getattr(defaults, name, DEFAULT) if value is DEFAULT else value
