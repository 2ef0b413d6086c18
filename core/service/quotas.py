"""Limits of rate and concurrency, for each owner and for the whole server."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from core.service.errors import TooMany

MAX_OWNERS = 10_000
"""Remembered at the same time; who was not seen longest is forgotten, which gives them nothing but a fresh start."""


class SharedRates(Protocol):
    """Counts for the processes of several machines."""

    def take(self, what: str, owner: str, per_minute: int, number: int) -> float | None:
        """number (0 or 1) of `per_minute` of `what`. Seconds until there is one, 0.0 where there is; None while it cannot be asked."""


class RateLimit:
    """At most `per_minute` of `what` for each owner, all of them at once if they like. Thread-safe.

    shared: counts for all machines; while it cannot be asked, and without it, each process counts for itself.
    """

    def __init__(self, per_minute: int, what: str, shared: SharedRates | None = None) -> None:
        self._per_minute, self._what, self._shared = per_minute, what, shared
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, owner: str) -> None:
        """Raises TooMany."""
        self._take(owner, 1)

    def check(self, owner: str) -> None:
        """Raises TooMany where `take` would, and takes nothing."""
        self._take(owner, 0)

    def _take(self, owner: str, number: int) -> None:
        wait_s = None if self._shared is None else self._shared.take(self._what, owner, self._per_minute, number)
        if wait_s is None:
            wait_s = self._take_here(owner, number)
        if wait_s > 0:
            raise TooMany(f"More than {self._per_minute} {self._what} in a minute.", f"Wait {math.ceil(wait_s)} s.", wait_s)

    def _take_here(self, owner: str, number: int) -> float:
        now = time.monotonic()
        with self._lock:
            left, since = self._left.pop(owner, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - since) * self._per_minute / 60)
            self._left[owner] = (left - number if left >= 1 else left, now)
            while len(self._left) > MAX_OWNERS:
                self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) * 60 / self._per_minute


class ConcurrencyLimit:
    """At most `total` of `what` at the same time, and `each` of one owner. Thread-safe."""

    def __init__(self, total: int, each: int, what: str) -> None:
        self._total, self._each, self._what = total, each, what
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, owner: str) -> Iterator[None]:
        """Raises TooMany."""
        self.take(owner)
        try:
            yield
        finally:
            self.give_back(owner)

    def take(self, owner: str) -> None:
        """Until `give_back`. Raises TooMany."""
        with self._lock:
            if self._taken[owner] >= self._each:
                raise TooMany(f"{self._each} {self._what} of yours are under way already.", "Wait until one of them has ended.", 5)
            if self._taken.total() >= self._total:
                raise TooMany(f"{self._total} {self._what} are under way already.", "Try again a little later.", 5)
            self._taken[owner] += 1

    def has_room(self, owner: str) -> bool:
        """Whether `take` would succeed now."""
        with self._lock:
            return self._taken[owner] < self._each and self._taken.total() < self._total

    def give_back(self, owner: str) -> None:
        with self._lock:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]

    @property
    def taken(self) -> int:
        with self._lock:
            return self._taken.total()
