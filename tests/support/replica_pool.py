"""The render replicas of tests, as a live session's own process asks them: apart from what they load themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray

from deploy.ray_renderers import LiveWork

NAMESPACE = "tests-render"


class ReplicaPool:
    """A Renderers. The first that lives is asked first, and the next with each attempt."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def start(self, work: LiveWork) -> Callable[[], Any]:
        alive: list[Any] = []
        for name in self._names:
            try:
                alive.append(ray.get_actor(name, NAMESPACE))
            except ValueError:
                continue
        done = alive[work.opening.attempt % len(alive)].render_live.remote(work)
        return lambda: ray.get(done)
