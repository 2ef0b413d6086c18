"""Reads options by name from a command line or a file, and defines the presets.

Names are Ditto's own, `PRESETS` those that its users know. Values are plain: numbers, text, lists, mappings. What a value may be is decided
where it is used; what is checked here is that the name exists and the value is of a kind that can be meant.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import OptionError
from core.picture_options import is_background
from core.request import Controls, Framing, RenderOptions

if TYPE_CHECKING:
    from core.settings import Settings  # it takes a while, and a command line reads options before it needs any

EMOTION_NAMES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise", "contempt")

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"sampling_timesteps": 10, "template_n_frames": 3, "max_size": 512},
    "draft": {"sampling_timesteps": 25, "overlap_v2": 5, "smo_k_d": 1, "max_size": 512},
    "default": {"sampling_timesteps": 50, "overlap_v2": 10, "smo_k_d": 3},
    "quality": {"sampling_timesteps": 75, "overlap_v2": 15, "smo_k_d": 5, "max_size": 1920},
    "realtime": {
        "online_mode": True, "sampling_timesteps": 10, "overlap_v2": 75, "fix_kp_cond": 1, "fix_kp_cond_dim": (0, 202),
        "overall_ctrl_info": {"delta_pitch": 2},
    },
}  # fmt: skip

_PLACES: dict[str, tuple[str, ...]] = {}
for _place, _kind in (("framing", Framing), ("controls", Controls), ("render", RenderOptions)):
    for _field in dataclasses.fields(_kind):
        _PLACES[_field.name] = (*_PLACES.get(_field.name, ()), _place)

_PLAIN_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("blink", "head_motion", "mouth", "smile", "gaze_x", "gaze_y"), (int, float)),
    **dict.fromkeys(("face_index", "max_size", "seed", "crf", "fade_in", "fade_out"), (int,)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Options:
    """The values that `read_options` makes of options by name."""

    framing: Framing = Framing()
    controls: Controls = Controls()
    render: RenderOptions = RenderOptions()


def preset(name: str) -> dict[str, Any]:
    """The options of a preset, a copy. Raises OptionError."""
    if name not in PRESETS:
        raise OptionError(
            f"There is no preset {name!r}.",
            f"Choose one of: {', '.join(PRESETS)}.",
            code="unknown_preset",
            parameters={"name": str(name)[:40], "offered": list(PRESETS)},
        )
    return dict(PRESETS[name])


def read_options(values: Mapping[str, Any]) -> Options:
    """Raises OptionError for a name that is no option, naming the nearest one, or a value of the wrong kind."""
    sorted_out: dict[str, dict[str, Any]] = {"framing": {}, "controls": {}, "render": {}}
    for name, value in values.items():
        if name not in _PLACES:
            near = difflib.get_close_matches(str(name), _PLACES, 1, 0.5)
            hint = f"Is {near[0]} meant?" if near else f"There are: {', '.join(sorted(_PLACES))}."
            raise OptionError(f"There is no option {name!r}.", hint, code="unknown_option", parameters={"name": str(name)[:40]})
        plain = _plain(name, value)
        for place in _PLACES[name]:
            sorted_out[place][name] = plain
    return Options(Framing(**sorted_out["framing"]), Controls(**sorted_out["controls"]), RenderOptions(**sorted_out["render"]))


def read_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Texts like "key=value" -> values by name. A value is read as JSON; what is not JSON is text."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"{text!r} is not an option.", "Write it as name=value.")
        if name.strip() in values:
            raise OptionError(f"{name.strip()} is given twice.", "Give it once.")
        values[name.strip()] = read_value(value)
    return values


def read_value(text: str) -> Any:
    """A value that is written as JSON; what is not JSON is text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        python = {"True": True, "False": False, "None": None}
        return python.get(text.strip(), text.strip())


def with_seed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options by name, with a seed drawn where a random one is asked for."""
    return {**values, "seed": random.SystemRandom().randrange(2**32)} if values.get("seed") == "random" else dict(values)


def with_disclosure(options: Options, settings: Settings) -> Options:
    """With the label and the mark that a server of this deployment draws: they may be asked for, but not away."""
    label, mark = settings.label or options.render.label, settings.mark or options.render.mark
    return dataclasses.replace(options, render=dataclasses.replace(options.render, label=label, mark=mark))


def background_picture(values: Mapping[str, Any]) -> Path | None:
    """The file of the picture that is to be behind the person; None where the option says something else."""
    given = values.get("background")
    return Path(given) if isinstance(given, str) and given and not is_background(given) else None


def read_file(path: Path) -> dict[str, Any]:
    """Options by name from a JSON file. Raises OptionError where it cannot be read or holds something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"The file {path} cannot be read ({error.strerror}).", "Check the path.") from error
    except ValueError as error:
        raise OptionError(f"The file {path} is not JSON ({error}).", "It must hold options by name, in braces.") from error
    if not isinstance(values, dict):
        raise OptionError(f"The file {path} holds no options by name.", 'Write them as {"name": value, ...}.')
    return values


def _plain(name: str, value: Any) -> Any:
    """JSON knows neither tuples, arrays nor numbers as keys."""
    kinds = _PLAIN_KINDS.get(name)
    if kinds is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
        hint = "It must be a number." if float in kinds else "It must be a whole number."
        raise OptionError(f"{name} is {value!r}.", hint, code="not_a_number", parameters={"name": name, "value": str(value)[:40]})
    if name == "emo":
        return _emotion(value)
    if name == "crop" and isinstance(value, str):
        return _numbers(value)
    if name == "landmarks":
        return _points(value)
    if name in ("crop", "fix_kp_cond_dim", "fade_out_keys", "use_d_keys") and isinstance(value, list):
        return tuple(value)
    if name == "ctrl_info" and isinstance(value, dict):
        try:
            return {int(frame): controls for frame, controls in value.items()}
        except (TypeError, ValueError):
            raise OptionError("ctrl_info has a key that is not the number of a frame.", 'Write it as {"0": {...}, "1": {...}}.') from None
    return value


def _numbers(text: str) -> Any:
    """ "0.1,0,0.8,0.9" -> four numbers, "" -> None; any other text stays as it is, for whoever uses it to refuse."""
    if not text.strip():
        return None
    try:
        return tuple(float(each) for each in text[:200].split(","))
    except ValueError:
        return text


def _points(value: Any) -> Any:
    """[[0.3, 0.4], ...] or "0.3,0.4 0.7,0.4 ..." -> points as tuples, "" -> None; what is neither stays, for whoever uses it to refuse."""
    if isinstance(value, str):
        value = [_numbers(each) for each in value[:1000].split()] or None
    if not isinstance(value, list | tuple):
        return value
    return tuple(tuple(each) if isinstance(each, list) else each for each in value)


def _emotion(value: Any) -> Any:
    """Names become numbers; rows of eight weights, an array."""
    if isinstance(value, str):
        if value.lower() not in EMOTION_NAMES:
            raise OptionError(f"emo is {value!r}.", f"Choose one of: {', '.join(EMOTION_NAMES)}; or a number from 0 to 7.")
        return EMOTION_NAMES.index(value.lower())
    if isinstance(value, list | tuple):
        if value and all(isinstance(row, list | tuple) and len(row) == len(EMOTION_NAMES) for row in value):
            try:
                return np.array(value, np.float32)
            except (TypeError, ValueError):
                raise OptionError("emo has a row of eight that are not numbers.", "Give numbers.") from None
        return [_emotion(item) for item in value]
    return value
