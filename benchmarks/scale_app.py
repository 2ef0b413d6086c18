"""The service over Ray Serve with an engine that is watched, or sleeps: `serve run benchmarks.scale_app:app`, for benchmarks/scale.py."""

from __future__ import annotations

import os
import time
from typing import Any

import core.engines.lite
from benchmarks.sleeping_engine import ENGINE, SleepingEngine, WatchedEngine, busy_time
from deploy import ray_app
from deploy.ray_render import Renderer


class WatchedRenderer(Renderer):
    """A render replica; what its engine sleeps counts as the work of its threads."""

    def __init__(self) -> None:
        core.engines.lite.LiteEngine = SleepingEngine if os.environ[ENGINE] == "sleeping" else WatchedEngine  # type: ignore[misc]
        time.thread_time = busy_time
        super().__init__()


def app(arguments: dict[str, Any]) -> Any:
    """As `deploy.ray_app.app`."""
    return ray_app.application(arguments, WatchedRenderer)
