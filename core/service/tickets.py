"""Work that a visitor waits for: it can be watched, and stopped at any moment, also before it is a job."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from core.errors import Cancelled
from core.scheduler import Job, Scheduler
from core.types import Progress

T = TypeVar("T")

POLL_S = 0.15
"""How often a waiting page looks at its job."""


@dataclass(frozen=True)
class Visitor:
    """Who asks. owner: whose the results are. tab: one visit of theirs, a browser tab or a client, which can be cancelled by itself."""

    owner: str
    tab: str


@dataclass(frozen=True)
class Snapshot:
    """Where a job stands now.

    position: place in the queue, 0 when it runs. fps, left_s: speed and time left; 0 and None while not known.
    """

    stage: str
    done: int = 0
    total: int = 0
    position: int = 0
    fps: float = 0.0
    left_s: float | None = None


class Ticket:
    """One piece of work on its way. It can be cancelled at any moment, also while its files are still being read."""

    def __init__(self) -> None:
        self._cancelled = False
        self._job_cancel: Callable[[], None] | None = None

    def cancel(self) -> None:
        self._cancelled = True
        if self._job_cancel is not None:
            self._job_cancel()

    def check(self) -> None:
        if self._cancelled:
            raise Cancelled("The job was cancelled.")

    async def follow(self, job: Job[T], scheduler: Scheduler) -> AsyncIterator[Snapshot]:
        """Snapshots until the job has ended, however it ended."""
        self._job_cancel = job.cancel
        if self._cancelled:
            job.cancel()
        watch = _Watch()
        while not job.wait(0):
            yield watch.look(job.progress, scheduler.position(job))
            await asyncio.sleep(POLL_S)


class Tickets:
    """What every tab has under way. Thread-safe."""

    def __init__(self) -> None:
        self._tickets: dict[str, set[Ticket]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def new(self, tab: str) -> Iterator[Ticket]:
        """A ticket for as long as the work is waited for; what nobody waits for any more is cancelled."""
        ticket = Ticket()
        with self._lock:
            self._tickets.setdefault(tab, set()).add(ticket)
        try:
            yield ticket
        finally:
            ticket.cancel()
            with self._lock:
                self._tickets[tab].discard(ticket)
                if not self._tickets[tab]:
                    del self._tickets[tab]

    def cancel(self, tab: str | None = None) -> bool:
        """Stops what a tab (None: every one) has under way; True if there was something. Does not wait."""
        with self._lock:
            tickets = [ticket for key, each in self._tickets.items() for ticket in each if tab in (None, key)]
        for ticket in tickets:
            ticket.cancel()
        return bool(tickets)


class _Watch:
    """Turns a job's progress into speed and time left."""

    def __init__(self) -> None:
        self._started_s: float | None = None
        self._started_at = 0

    def look(self, progress: Progress, position: int) -> Snapshot:
        now_s = time.monotonic()
        if self._started_s is None and progress.stage == "animating":
            self._started_s, self._started_at = now_s, progress.done
        fps, left_s = 0.0, None
        if self._started_s is not None and progress.done > self._started_at:
            fps = (progress.done - self._started_at) / (now_s - self._started_s)
            left_s = (progress.total - progress.done) / fps
        return Snapshot(progress.stage, progress.done, progress.total, position, fps, left_s)
