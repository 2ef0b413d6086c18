"""What visitors and clients may ask for by name, beyond `core.options`: the same on pages and in the API."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from core.engines.capabilities import DITTO_FRAMING
from core.options import Options, preset
from core.settings import Settings


def with_preset(values: Mapping[str, Any], avatar: bool) -> dict[str, Any]:
    """The values, over those of the "preset" among them. Raises OptionError for one that does not exist.

    avatar: it brings its own framing, which a preset cannot change.
    """
    given = dict(values)
    name = given.pop("preset", None)
    asked = {} if name in (None, "") else preset(str(name))
    if avatar:
        asked = {key: value for key, value in asked.items() if key not in DITTO_FRAMING}
    return {**asked, **given}


def labelled(options: Options, settings: Settings) -> Options:
    """A visitor may ask for the label, not it away."""
    return dataclasses.replace(options, render=dataclasses.replace(options.render, label=settings.label or options.render.label))
