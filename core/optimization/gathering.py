"""Gathers requests of several callers into batches, which one thread computes.

    gatherer = Gatherer(serve, how_many)
    future = gatherer.submit(item, client=session_id, due_s=time.monotonic())
    ...
    future.result()
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core.errors import Cancelled

T = TypeVar("T")

GATHER_S = 0.012
"""How long the first item of a batch waits for others."""
RECENT_S = 0.2
"""A client that asked within this time is expected to ask again; nobody waits for one that is not expected."""
IDLE_S = 5.0
"""After so long without work the thread ends; the next item starts another."""


@dataclass(eq=False)
class Pending(Generic[T]):
    """An item that waits to be computed. due_s: when its result is needed, by time.monotonic; the earliest are served first."""

    item: T
    due_s: float
    client: Hashable
    future: Future[Any] = field(default_factory=Future)


class Gatherer(Generic[T]):
    """Hands batches to `serve`, in the order in which they are due. Thread-safe.

    serve: called on the gatherer's thread with pending items, none of them cancelled; sets their futures, before it returns or later. Where
    it raises, the items without a result are tried again in halves, so that an item that cannot be computed fails alone, and a batch
    that finds no memory is computed as two smaller ones.
    how_many: of n items that wait, how many are served together: 1..n.
    """

    def __init__(self, serve: Callable[[list[Pending[T]]], None], how_many: Callable[[int], int], gather_s: float = GATHER_S) -> None:
        self._serve, self._how_many, self._gather_s = serve, how_many, gather_s
        self._waiting: list[Pending[T]] = []
        self._seen: dict[Hashable, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, item: T, client: Hashable, due_s: float) -> Future[Any]:
        """client: tells callers apart, so that a batch waits only for those that will ask. It is kept for a while: give a small key.

        Raises Cancelled after `close`.
        """
        pending = Pending(item, due_s, client)
        with self._changed:
            if self._closed:
                raise Cancelled("The engine was closed.")
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="gatherer", daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.append(pending)
            self._seen[client] = time.monotonic()
            self._changed.notify_all()
        return pending.future

    def close(self) -> None:
        """Takes nothing more. What waits meets Cancelled; the batch being computed is finished."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for pending in waiting:
            if pending.future.set_running_or_notify_cancel():
                pending.future.set_exception(Cancelled("The engine was closed."))

    def _work(self) -> None:
        while batch := self._next():
            self._served([pending for pending in batch if pending.future.set_running_or_notify_cancel()])
            batch.clear()  # nothing of it is kept while the thread waits for the next one

    def _served(self, pending: list[Pending[T]]) -> None:
        """All of them, in batches of the lengths that `how_many` allows."""
        while pending:
            n = self._how_many(len(pending))
            batch, pending = pending[:n], pending[n:]
            try:
                self._serve(batch)
            except BaseException as error:  # whatever it is, whoever waits is told
                left = [each for each in batch if not each.future.done()]
                if len(left) > 1:
                    self._served(left[: len(left) // 2])
                    self._served(left[len(left) // 2 :])
                elif left:
                    left[0].future.set_exception(error)

    def _next(self) -> list[Pending[T]]:
        """The next batch; empty when nothing came for long or the gatherer was closed, and the thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, IDLE_S)
            until = time.monotonic() + self._gather_s
            while self._waiting and not self._complete() and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            if not self._waiting:
                self._thread = None
                self._seen.clear()
                return []
            self._waiting.sort(key=lambda pending: pending.due_s)
            n = self._how_many(len(self._waiting))
            batch, self._waiting = self._waiting[:n], self._waiting[n:]
            return batch

    def _complete(self) -> bool:
        """Whether waiting longer would bring nothing: as many as one batch takes, or everybody who is expected, are there."""
        if len(self._waiting) >= self._how_many(sys.maxsize):
            return True
        recent = time.monotonic() - RECENT_S
        self._seen = {client: seen for client, seen in self._seen.items() if seen > recent}
        return not self._seen.keys() - {pending.client for pending in self._waiting}
