"""Who takes jobs from the store and still lives: the interface, and locks of the system for the processes of one machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from core.errors import OutputError

MISSING_S = 10.0
"""How long the lock file of a worker may be missing: its folder vanished, and who lives makes its lock anew."""


class WorkerLiveness(Protocol):
    """Of one worker, which is told to `announce`. None of it raises."""

    def announce(self, worker: str, slots: int) -> None:
        """Tells the others that this worker lives, from now until `withdraw` or the end of the process. Called again now and then.

        slots: jobs that it does at the same time.
        """

    def slots(self) -> int:
        """Jobs that are done at the same time by all workers that live, as far as this one knows."""

    def is_dead(self, worker: str) -> bool:
        """Whether another worker has ended. False while that is not certain."""

    def withdraw(self) -> None:
        """The others are told that the worker has ended."""


class LockFiles:
    """A locked file for each worker, which the system unlocks when its process dies. folder: gives the private folder."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._own: FileLock | None = None
        self._slots = 0
        self._missing_s: dict[str, float] = {}
        """Since when the lock of another worker is not there."""

    def announce(self, worker: str, slots: int) -> None:
        self._slots = slots
        if self._own is not None and Path(self._own.lock_file).exists():
            return
        try:  # the first time, or the folder vanished meanwhile
            lock = FileLock(self._path(worker), thread_local=False)
            lock.acquire(timeout=0)
        except (OSError, OutputError, Timeout):
            return  # the store cannot be shared then either
        self._own = lock

    def slots(self) -> int:
        """Those of this worker: the locks of others do not tell theirs."""
        return self._slots

    def is_dead(self, worker: str) -> bool:
        try:
            path = self._path(worker)
            if not path.exists():
                return time.monotonic() - self._missing_s.setdefault(worker, time.monotonic()) > MISSING_S
            self._missing_s.pop(worker, None)
            lock = FileLock(path, thread_local=False)
            lock.acquire(timeout=0)
        except (OSError, OutputError, Timeout):
            return False
        path.unlink(missing_ok=True)
        lock.release()
        return True

    def withdraw(self) -> None:
        if self._own is not None:
            with contextlib.suppress(OSError):
                Path(self._own.lock_file).unlink(missing_ok=True)
            self._own.release()

    def _path(self, worker: str) -> Path:
        folder = self._folder() / "workers"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{worker}.lock"
