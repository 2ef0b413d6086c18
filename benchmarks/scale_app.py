"""The service over Ray Serve with an engine that sleeps: `serve run benchmarks.scale_app:app`, for benchmarks/scale.py."""

from __future__ import annotations

from typing import Any

import core.engines.lite
from benchmarks.sleeping_engine import SleepingEngine
from deploy import ray_app
from deploy.ray_render import Renderer


class SleepingRenderer(Renderer):
    """A render replica whose lite engine sleeps."""

    def __init__(self) -> None:
        core.engines.lite.LiteEngine = SleepingEngine  # type: ignore[misc]
        super().__init__()


def app(arguments: dict[str, Any]) -> Any:
    """As `deploy.ray_app.app`."""
    return ray_app.application(arguments, SleepingRenderer)
