"""Waiting for jobs: for each change of one, for its end, and for whoever does it; all who wait are told when the service stops."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

from core.errors import Cancelled
from core.service.errors import stopping
from core.service.job_store import JobStore
from core.service.job_topics import CLOSING, QUEUE, job_topic
from core.service.job_views import JobView, view_of
from core.service.topics import Topics

LOOK_S = 5.0
"""How often who watches looks unasked: news between processes may get lost."""
ASKED_S = 1.0
"""The same, of a reader who waits for the first piece of a stream, and may have left."""


class JobWatch:
    """get: a job as its owner sees it now; raises UnknownJob. Thread-safe."""

    def __init__(self, store: JobStore, topics: Topics, get: Callable[[str, str], JobView]) -> None:
        self._store, self._topics, self._get = store, topics, get
        self._stopped = False
        self._watching: set[object] = set()
        self._watchers = threading.Condition()

    def stop(self) -> None:
        """Whoever waits is told that the service stops, after the last state of the job."""
        self._stopped = True
        self._topics.publish(CLOSING, everywhere=False)

    def wait_for_readers(self, timeout_s: float) -> None:
        """Until all who watch have read the last state of their job, but no longer than `timeout_s`."""
        with self._watchers:
            self._watchers.wait_for(lambda: not self._watching, timeout_s)

    async def watch(self, job_id: str, owner: str) -> AsyncIterator[JobView]:
        """As `Jobs.watch`."""
        watcher = object()
        self._watching.add(watcher)
        try:
            async with self._topics.watch(job_topic(job_id), QUEUE, CLOSING) as changed:
                last: JobView | None = None
                while True:
                    changed.clear()
                    stopped = self._stopped  # asked first: what is read after it is the last state
                    view = await asyncio.to_thread(self._get, job_id, owner)
                    if view.ended or stopped:
                        self._has_seen_all(watcher)
                    if view != last:
                        yield view
                    if view.ended:
                        return
                    if stopped:
                        raise stopping()
                    last = view
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), LOOK_S)
        finally:
            self._has_seen_all(watcher)

    def worker_of(self, job_id: str, left: threading.Event) -> str:
        """Who does a job, once somebody does. left: nobody waits for it any longer. Raises what it ended with, or Cancelled."""
        changed = threading.Event()
        end = self._topics.subscribe(job_topic(job_id), changed.set)
        try:
            while not (left.is_set() or self._stopped):
                changed.clear()
                record = self._store.get(job_id)
                if record is None:
                    break
                if record.state == "running" or record.state == "done":
                    return record.worker
                if record.ended:
                    raise view_of(record, 0).error or Cancelled("The job was cancelled.", code="cancelled")
                changed.wait(ASKED_S)
        finally:
            end()
        raise Cancelled("The job was cancelled.", code="cancelled")

    def _has_seen_all(self, watcher: object) -> None:
        with self._watchers:
            self._watching.discard(watcher)
            self._watchers.notify_all()
