"""Options by name, from strangers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from core.errors import OptionError
from core.options import Options, read_options
from core.service.options import labelled, with_preset
from core.settings import Settings
from core.studio import Studio
from core.types import Controls, Framing, RenderOptions


def options_of(values: Mapping[str, Any], settings: Settings, avatar: bool) -> Options:
    """Options by name; "preset" takes some under one name, "seed": "random" a new seed. Raises OptionError.

    avatar: it brings its own framing, which a preset cannot change.
    """
    asked = with_preset(values, avatar)
    if asked.get("seed") == "random":
        asked["seed"] = random.SystemRandom().randrange(2**32)
    with _kinds():
        options = read_options(asked)
        options.framing.verify()
        options.render.verify()
    return labelled(options, settings)


def controls_of(values: Mapping[str, Any]) -> Controls:
    """Controls by name. Raises OptionError, also for options that are fixed when a session starts."""
    with _kinds():
        options = read_options(values)
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
        raise OptionError(f"options is not JSON ({str(error)[:120]}).", 'Write it as {"size": 320, ...}.') from None
    if not isinstance(values, dict):
        raise OptionError("options is not an object of options by name.", 'Write it as {"size": 320, ...}.')
    return values


def check_engine(name: str, studio: Studio) -> str:
    """The name, if it is one that this server offers. Raises OptionError."""
    offered = ["auto", *studio.health()["engines"]]
    if name not in offered:
        raise OptionError(f"There is no engine {name[:40]!r} here.", f"Choose one of: {', '.join(offered)}.")
    return name


@contextmanager
def _kinds() -> Iterator[None]:
    """What no check expected is a value of the wrong kind too."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(f"An option has a value of the wrong kind ({str(error)[:120]}).", "See the options in the README.") from None
