"""The health of the service: whether it is alive and ready, and which parts of it are degraded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import EngineUnavailable, OptionError, OutputError
from core.optimization.cache_folder import CacheFolder
from core.optimization.shared_folder import ObjectStore
from core.service.errors import hide_paths
from core.service.jobs import Jobs
from core.service.outputs import OutputFolder
from core.studio import Studio

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
    """Of one service. Thread-safe; needs no framework, and never raises.

    makes_videos: this server does; otherwise others do, and whether any of them lives is part of the health. files: the shared store.
    """

    def __init__(
        self, studio: Studio, jobs: Jobs, outputs: OutputFolder, cache: CacheFolder, files: ObjectStore | None, makes_videos: bool
    ) -> None:
        self._studio, self._jobs, self._outputs, self._cache = studio, jobs, outputs, cache
        self._files, self._makes_videos = files, makes_videos
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
        found = [*_problem("outputs", self._outputs.check), *_problem("cache", self._cache.check)]
        problem = self._jobs.problem or (
            "" if self._makes_videos or self._jobs.slots else "No server that makes videos is known to live: jobs wait for one."
        )
        if problem:
            found.append(Degradation("jobs", "", hide_paths(problem)))
        if self._files is not None and (problem := self._files.problem):
            found.append(Degradation("files", "", problem))
        return found

    def report(self) -> dict[str, Any]:
        """What monitors ask, in plain JSON types: what `Studio.health` tells, `engine` ("auto" now) or else `problem`, and `degraded`."""
        told = self._studio.health()
        for state in told["loading"].values():
            state["error"] = hide_paths(state["error"])
        try:
            engine, problem = self._studio.choose_engine("auto")[0], ""
        except (EngineUnavailable, OptionError) as error:
            engine, problem = "", hide_paths(str(error))
        if not self._makes_videos:
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
