"""The cache of registrations in memory."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from core.engines.base import Registration
from core.request import Framing

Key = tuple[str, str, str, str, Framing]
"""The key of a registration in memory: owner, engine, its revision, sha256 of the source, framing."""


PASSING_SHARE = 8
"""Photos that nobody registered have this part of the memory: of them there are as many as there are strangers, who seldom come back."""


class RegistrationMemory:
    """The registrations used last, `limit_bytes` together; one larger than that is kept alone. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._passing: set[Key] = set()
        self._kept: OrderedDict[Key, Registration] = OrderedDict()
        self._making: dict[Key, list[Any]] = {}  # key -> [lock, how many want it]
        self._lock = threading.Lock()
        self.evictions = 0

    @contextlib.contextmanager
    def locked(self, key: Key, check: Callable[[], None]) -> Iterator[None]:
        """A lock for the one thread that makes a registration; others that need the same one wait for it."""
        with self._lock:
            entry = self._making.setdefault(key, [threading.Lock(), 0])
            entry[1] += 1
        try:
            while not entry[0].acquire(timeout=0.05):
                check()
            try:
                yield
            finally:
                entry[0].release()
        finally:
            with self._lock:
                entry[1] -= 1
                if not entry[1]:
                    del self._making[key]

    def get(self, key: Key) -> Registration | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def kept(self) -> list[Key]:
        """Those of avatars."""
        with self._lock:
            return [key for key in self._kept if key not in self._passing]

    def put(self, key: Key, registration: Registration, *, passing: bool = False) -> None:
        """passing: it is of nobody's avatar."""
        with self._lock:
            self._kept[key] = registration
            self._kept.move_to_end(key)
            if passing:
                self._passing.add(key)
            else:
                self._passing.discard(key)
        self.trim()

    def trim(self) -> None:
        """Makes room; also to be called after use, since registrations grow as they are used."""
        with self._lock:
            self._trim([key for key in self._kept if key in self._passing], self._limit_bytes // PASSING_SHARE)
            self._trim(list(self._kept), self._limit_bytes)
            self._passing &= self._kept.keys()

    def _trim(self, keys: list[Key], limit_bytes: int) -> None:
        """Drops registrations of `keys`, the least recently used first, until the limit holds; the last one stays."""
        sizes = [self._kept[key].nbytes for key in keys]
        total = sum(sizes)
        for key, size in zip(keys[:-1], sizes, strict=False):
            if total <= limit_bytes:
                return
            del self._kept[key]
            total -= size
            self.evictions += 1

    def drop(self, wanted: Callable[[Key], bool]) -> int:
        """Forgets the registrations whose key is wanted. Bytes freed."""
        with self._lock:
            return sum(self._kept.pop(key).nbytes for key in list(self._kept) if wanted(key))

    def stats(self) -> dict[str, int]:
        with self._lock:
            nbytes = sum(registration.nbytes for registration in self._kept.values())
            return {"entries": len(self._kept), "bytes": nbytes, "max_bytes": self._limit_bytes, "evictions": self.evictions}
