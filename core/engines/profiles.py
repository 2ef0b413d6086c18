"""The engines as they are known before they are loaded."""

from __future__ import annotations

from core.engines.base import EngineProfile
from core.engines.capabilities import DITTO, LITE, LITE_PHOTO_ONLY
from core.engines.ditto_options import session_options, source_options
from core.request import Controls, Framing, RenderOptions


def _check_ditto(framing: Framing, controls: Controls, options: RenderOptions) -> None:
    source_options(framing)
    session_options(controls, options)


PROFILES = {"lite": EngineProfile("lite", LITE, photo_only=LITE_PHOTO_ONLY), "ditto": EngineProfile("ditto", DITTO, _check_ditto)}
"""By the engine's name."""
