"""The health of the service: whether it is alive and ready, and which parts of it are degraded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from core.errors import EngineUnavailable, OptionError, OutputError
from core.service.errors import hide_paths

if TYPE_CHECKING:
    from core.service.service import Service

TRIED_S = 2.0
"""How long what was found is told again: trying writes to the disk, and anybody may ask."""


@dataclass(frozen=True)
class Degradation:
    """One part that does not work as it should, while the service goes on without it.

    part: "outputs" (no video can be written), "cache" (nothing is kept, nobody registered), "jobs" (they do not outlive a restart, or
    nobody is there to do them) or "files" (the shared store does not answer).
    code: "disk_full", "disk_unusable" or "". message: why, in a sentence without folders.
    """

    part: str
    code: str
    message: str


class Health:
    """Of one service. Thread-safe; needs no framework, and never raises."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._found: tuple[Degradation, ...] = ()
        self._found_s = float("-inf")

    def degraded(self) -> tuple[Degradation, ...]:
        """What does not work as it should now, found by trying; at most TRIED_S old."""
        with self._lock:
            if time.monotonic() - self._found_s > TRIED_S:
                self._found = tuple(self._tried())
                self._found_s = time.monotonic()
            return self._found

    def _tried(self) -> list[Degradation]:
        service = self._service
        found = [*_problem("outputs", service.outputs.check), *_problem("cache", service.cache.check)]
        problem = service.jobs.problem or (
            "" if service.settings.max_jobs or service.jobs.slots else "No server that makes videos is known to live: jobs wait for one."
        )
        if problem:
            found.append(Degradation("jobs", "", hide_paths(problem)))
        if service.files is not None and (problem := service.files.problem):
            found.append(Degradation("files", "", problem))
        return found

    def report(self) -> dict[str, Any]:
        """What monitors ask, in plain JSON types: what `Studio.health` tells, `engine` ("auto" now) or else `problem`, and `degraded`."""
        studio = self._service.studio
        told = studio.health()
        for state in told["loading"].values():
            state["error"] = hide_paths(state["error"])
        try:
            engine, problem = studio.choose_engine("auto")[0], ""
        except (EngineUnavailable, OptionError) as error:
            engine, problem = "", hide_paths(str(error))
        if not self._service.settings.max_jobs:
            told["ready"] = True  # to take jobs: who makes them, and whether anybody does, is told by `queue` and `degraded`
        return {**told, "engine": engine, "problem": problem, "degraded": [asdict(one) for one in self.degraded()]}


def _problem(part: str, check: Callable[[], None]) -> list[Degradation]:
    try:
        check()
    except OutputError as error:
        return [Degradation(part, error.code, hide_paths(str(error)))]
    except OSError as error:  # the disk does what no disk should
        return [Degradation(part, "disk_unusable", hide_paths(str(error)))]
    return []
