"""Options of a video by name: presets, limits, label and mark, by the same rules for pages and server."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from core.engines.capabilities import DITTO_FRAMING
from core.errors import OptionError, TalkingHeadError
from core.options import Options, preset, read_options, with_disclosure
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings

MAX_OPTIONS_BYTES = 64 * 1024
"""Of the options of one request, written as JSON."""
MAX_DIGITS = 9
"""Of a size that is written as text: what is longer is no number of pixels."""
_BAD_OPTIONS_HINT = 'Write them as {"size": 320, ...}.'


def settled(values: Mapping[str, Any], settings: Settings, avatar: bool) -> dict[str, Any]:
    """The options by name with nothing left open: the preset's written out, a random seed drawn, label and mark decided.

    The same dictionary makes the same video at any time, so it is what a job records. avatar: it brings its own framing, which a preset
    cannot change. Raises OptionError for what no engine would take.
    """
    given = dict(values)
    _check_bytes(given)
    name = given.pop("preset", None)
    chosen = {} if name in (None, "") else preset(str(name))
    if avatar:
        chosen = {key: value for key, value in chosen.items() if key not in DITTO_FRAMING}
    result = {**chosen, **given}
    for option in ("size", "seed", "face_index"):
        if result.get(option, 0) is None:
            del result[option]
    if "size" in result:
        result["size"] = _size(result["size"])
    if "face_index" in result:
        result["face_index"] = whole_number(result["face_index"], "face_index")
    seed = result.get("seed", RenderOptions.seed)
    result["seed"] = random.SystemRandom().randrange(2**32) if seed == "random" else whole_number(seed, "seed")
    options = read(result)
    options.framing.verify()
    options.render.verify()
    disclosed = with_disclosure(options, settings).render
    return {**result, "label": disclosed.label, "mark": disclosed.mark}


def naming_preset(error: TalkingHeadError, values: Mapping[str, Any]) -> TalkingHeadError:
    """The error in words of what was chosen: an option that came with a preset was not. values: as they were given."""
    name, option = values.get("preset"), error.parameters.get("name")
    if error.code != "option_not_honoured" or not name or option in values:
        return error
    engine = error.parameters["engine"]
    return OptionError(
        f"The {engine} engine does not honour the preset {name!r}.", "Leave it out, or choose another engine.",
        code="preset_not_honoured", parameters={"name": str(name), "engine": engine},
    )  # fmt: skip


def read(values: Mapping[str, Any]) -> Options:
    """Raises OptionError, also for values that no check expected."""
    with _kinds():
        return read_options(values)


def controls_of(values: Mapping[str, Any]) -> Controls:
    """Controls by name. Raises OptionError, also for options that are fixed when a session starts."""
    options = read(values)
    with _kinds():
        if options.framing != Framing() or options.render != RenderOptions():
            raise OptionError("These are not controls only.", "Framing, size and seed are fixed when a session starts.")
    return options.controls


def options_in(text: str) -> dict[str, Any]:
    """A form's options, a JSON object. Raises OptionError."""
    if not text.strip():
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"options is not JSON ({str(error)[:120]}).", _BAD_OPTIONS_HINT) from None
    if not isinstance(values, dict):
        raise OptionError("options is not an object of options by name.", _BAD_OPTIONS_HINT)
    return values


def check_engine(name: str, names: Sequence[str]) -> None:
    """Raises OptionError for one that is neither "auto" nor among the engines offered here."""
    offered = ["auto", *names]
    if name not in offered:
        raise OptionError(
            f"There is no engine {name[:40]!r} here.", f"Choose one of: {', '.join(offered)}.",
            code="unknown_engine", parameters={"name": name[:40], "offered": offered},
        )  # fmt: skip


def whole_number(value: Any, name: str) -> int:
    """`value` as an int: browsers send whole numbers as 3.0 as well. Raises OptionError that names the option."""
    try:
        if not isinstance(value, str | bool) and int(value) == value:
            return int(value)
    except (ValueError, OverflowError, TypeError):  # infinite, or no number at all
        pass
    shown = str(value)[:40]
    raise OptionError(
        f"{name} is {value!r}.", "It must be a whole number.", code="bad_whole_number", parameters={"name": name, "value": shown}
    )


def _size(value: Any) -> Any:
    size = str(value).strip()
    if size == "source":
        return size
    if not isinstance(value, str):
        return whole_number(value, "size")
    if size.isascii() and size.isdigit() and len(size) <= MAX_DIGITS:
        return int(size)
    raise OptionError(
        f"size is {value[:40]!r}.", 'It must be a number of pixels or "source".', code="bad_size", parameters={"value": size[:40]}
    )


def _check_bytes(values: Mapping[str, Any]) -> None:
    try:
        nbytes = len(json.dumps(values))
    except (TypeError, ValueError, RecursionError) as error:
        problem = str(error)[:120]
        raise OptionError(
            f"The options cannot be read ({problem}).", _BAD_OPTIONS_HINT, code="bad_options", parameters={"problem": problem}
        ) from None
    if nbytes > MAX_OPTIONS_BYTES:
        problem = f"> {MAX_OPTIONS_BYTES} bytes"
        raise OptionError(
            f"The options have more than {MAX_OPTIONS_BYTES} bytes.", "Send less.", code="bad_options", parameters={"problem": problem}
        )


@contextmanager
def _kinds() -> Iterator[None]:
    """What no check expected is a value of the wrong kind too."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(f"An option has a value of the wrong kind ({str(error)[:120]}).", "docs/usage.md has the kinds.") from None
