"""Fetches, loads and warms up each engine once, on a background thread with a state that can be read.

A caller waits for an engine, or uses another one meanwhile; no lock is held while gigabytes arrive.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.engines.base import Engine
from core.errors import Cancelled, EngineUnavailable, TalkingHeadError

log = logging.getLogger(__name__)

CHECK_S = 0.1
"""How often who waits for an engine looks whether its own job was cancelled."""
FetchCallback = Callable[[int, int], None]
"""Called with the bytes that are done, and their total (0: not known)."""


def nothing_missing() -> int:
    """The `missing_bytes` of an engine that needs no files beyond the repository's."""
    return 0


@dataclass(frozen=True)
class EngineSource:
    """How an engine gets here.

    make: loads it, and fetches what it needs where there is no `fetch`; raises EngineUnavailable where it cannot run. fetch: brings its
    files, raising Cancelled soon after the event is set. missing_bytes: what `fetch` would have to bring now.
    """

    make: Callable[[], Engine]
    fetch: Callable[[FetchCallback, threading.Event], object] | None = None
    missing_bytes: Callable[[], int] = nothing_missing


@dataclass(frozen=True)
class LoadState:
    """How far an engine is. done, total: bytes while it is fetched (total 0: not known). error: why it failed, in plain words;
    hint: what to do about that. limitation: of an engine that is ready, as `Engine.limitation`.
    """

    stage: Literal["absent", "fetching", "loading", "warming", "ready", "failed"] = "absent"
    done: int = 0
    total: int = 0
    error: str = ""
    hint: str = ""
    limitation: str = ""

    @property
    def progress(self) -> float | None:
        """0..1 where it is known."""
        if self.stage == "ready":
            return 1.0
        return self.done / self.total if self.stage == "fetching" and self.total else None

    @property
    def under_way(self) -> bool:
        return self.stage in ("fetching", "loading", "warming")

    def __str__(self) -> str:
        but = f", but {self.limitation}" if self.limitation else ""
        share = f" ({self.progress:.0%})" if self.progress is not None and self.stage == "fetching" else ""
        return {
            "absent": "not loaded", "fetching": f"being fetched{share}", "loading": "being loaded", "warming": "being warmed up",
            "ready": f"ready{but}", "failed": f"not available ({self.error.rstrip('.')})",
        }[self.stage]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """For monitors, which need no hint."""
        return {**{name: value for name, value in asdict(self).items() if name != "hint"}, "progress": self.progress}


class _Loading:
    """One attempt to get one engine ready."""

    def __init__(self) -> None:
        self.state = LoadState("loading")
        self.engine: Engine | None = None
        self.error: Exception | None = None
        self.cancel = threading.Event()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None


class Engines:
    """Thread-safe. Nothing is loaded before it is asked for. A source may be its mere `make`."""

    def __init__(self, sources: Mapping[str, EngineSource | Callable[[], Engine]]) -> None:
        self._sources = {name: each if isinstance(each, EngineSource) else EngineSource(each) for name, each in sources.items()}
        self._attempts: dict[str, _Loading] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        return sorted(self._sources)

    @property
    def ready(self) -> list[str]:
        return [name for name in self.names if self.state(name).stage == "ready"]

    def state(self, name: str) -> LoadState:
        with self._lock:
            attempt = self._attempts.get(name)
            return attempt.state if attempt is not None else LoadState()

    def missing_bytes(self, name: str) -> int:
        """Bytes that would have to be fetched before the engine can be loaded."""
        return self._sources[name].missing_bytes()

    def start(self, name: str) -> None:
        """Begins to get an engine ready, unless that is under way or done; after a failure it tries again. Returns at once."""
        self._started(name)

    def get(self, name: str, check: Callable[[], None] = lambda: None) -> Engine:
        """The engine, ready; waits for it. `check` is called while waiting; what it raises ends the wait, not the loading.

        Raises EngineUnavailable where it cannot run here.
        """
        attempt = self._started(name)
        while not attempt.ended.wait(CHECK_S):
            check()
        if attempt.engine is None:
            assert attempt.error is not None  # noqa: S101 - one of both is set at the end
            raise attempt.error
        return attempt.engine

    def loaded(self, name: str) -> Engine | None:
        """The engine, where it is ready."""
        with self._lock:
            attempt = self._attempts.get(name)
            return attempt.engine if attempt is not None and attempt.ended.is_set() else None

    def cancel(self, name: str) -> None:
        """Stops fetching; what is there stays, and the next attempt goes on from it."""
        with self._lock:
            if name in self._attempts:
                self._attempts[name].cancel.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stops what is being fetched and closes what was loaded. What is being loaded cannot be stopped: it is waited for so long only."""
        with self._lock:
            attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.cancel.set()
        for attempt in attempts:
            attempt.ended.wait(timeout_s)
            if attempt.engine is not None:
                attempt.engine.close()

    def _started(self, name: str) -> _Loading:
        with self._lock:
            attempt = self._attempts.get(name)
            if attempt is None or attempt.error is not None:
                attempt = self._attempts[name] = _Loading()
                attempt.thread = threading.Thread(target=self._load, args=(name, attempt), name=f"load-{name}", daemon=True)
                attempt.thread.start()
            return attempt

    def _load(self, name: str, attempt: _Loading) -> None:
        source = self._sources[name]

        def on_bytes(done: int, total: int) -> None:
            attempt.state = LoadState("fetching", done, total)

        try:
            missing = source.missing_bytes() if source.fetch is not None else 0
            if source.fetch is not None and missing:
                on_bytes(0, missing)
                source.fetch(on_bytes, attempt.cancel)
            if attempt.cancel.is_set():
                raise Cancelled(f"Loading the {name} engine was stopped.")
            attempt.state = LoadState("loading")
            engine = source.make()
            attempt.state = LoadState("warming")
            engine.warmup()
            attempt.engine, attempt.state = engine, LoadState("ready", limitation=engine.limitation)
        except Cancelled:
            attempt.error = EngineUnavailable(f"Fetching the {name} engine was stopped.", "Start it again: it goes on from there.")
            attempt.state = LoadState()
        except TalkingHeadError as error:
            attempt.error, attempt.state = error, LoadState("failed", error=error.message, hint=error.hint)
        except Exception as error:
            log.exception("the %s engine could not be loaded", name)
            attempt.error, attempt.state = error, LoadState("failed", error=f"{type(error).__name__} while it was loaded")
        finally:
            attempt.ended.set()
