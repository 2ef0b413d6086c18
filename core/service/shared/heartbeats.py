"""Which workers on other machines still live: each counts up in the shared database, and one whose count stands still has ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import psycopg

from core.errors import BusyError
from core.service.shared.postgres import Postgres, Statements

logger = logging.getLogger(__name__)

BEAT_S = 2.0
ASKED_S = 0.5
"""How long a database that is away is waited for where what was known last will do."""
DEAD_S = 12.0
"""How long the count must have stood still, for one who looked all the while. No clock of another machine has a part in it."""
UNSEEN_S = 3 * BEAT_S
"""Whoever did not look for longer begins to watch anew: the database may have been away, for all of them."""
_COUNT_UP = """INSERT INTO workers (worker, beats, slots) VALUES (?, 0, ?)
ON CONFLICT (worker) DO UPDATE SET beats = workers.beats + 1, slots = excluded.slots, seen = now()"""
_FORGET_OLD = "DELETE FROM workers WHERE seen < now() - interval '1 day'"
_SLOTS = "SELECT coalesce(sum(slots), 0) FROM workers WHERE seen > now() - make_interval(secs => ?)"
"""By the clock of the database alone."""


class Heartbeats:
    """`WorkerLiveness` in the shared database. Thread-safe."""

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._worker, self._slots = "", 0
        self._known_slots, self._known_slots_s = 0, float("-inf")
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, float, float]] = {}
        """Of each other worker: its count, since when it stands there, when it was looked at last (monotonic seconds)."""
        self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)

    def announce(self, worker: str, slots: int) -> None:
        with self._lock:
            if not self._worker:
                self._worker, self._slots = worker, slots
                self._try(lambda db: db.execute(_FORGET_OLD))
                self._count_up()
                self._thread.start()

    def slots(self) -> int:
        """At most BEAT_S old; what was known last while the database is away."""
        if time.monotonic() - self._known_slots_s > BEAT_S:
            self._known_slots_s = time.monotonic()
            try:
                row = self._database.run(lambda db: db.execute(_SLOTS, (DEAD_S,)).fetchone(), patient_s=ASKED_S)
            except (BusyError, psycopg.Error):
                return self._known_slots
            self._known_slots = int(row[0])
        return self._known_slots

    def is_dead(self, worker: str) -> bool:
        try:
            row = self._database.run(lambda db: db.execute("SELECT beats FROM workers WHERE worker = ?", (worker,)).fetchone())
        except (BusyError, psycopg.Error):
            return False
        beats, now_s = -1 if row is None else int(row[0]), time.monotonic()
        with self._lock:
            before = self._seen.get(worker)
            if before is None or before[0] != beats or now_s - before[2] > UNSEEN_S:
                self._seen[worker] = (beats, now_s, now_s)
                return False
            self._seen[worker] = (beats, before[1], now_s)
            if now_s - before[1] < DEAD_S:
                return False
            del self._seen[worker]
        self._forget(worker)
        return True

    def withdraw(self) -> None:
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(2 * BEAT_S)
        self._forget(self._worker)

    def _beat(self) -> None:
        while not self._ending.wait(BEAT_S):
            self._count_up()

    def _count_up(self) -> None:
        self._try(lambda db: db.execute(_COUNT_UP, (self._worker, self._slots)))

    def _forget(self, worker: str) -> None:
        self._try(lambda db: db.execute("DELETE FROM workers WHERE worker = ?", (worker,)))

    def _try(self, work: Callable[[Statements], object]) -> None:
        try:
            self._database.run(work, patient_s=BEAT_S)
        except BusyError:
            pass  # said by the database
        except psycopg.Error as error:  # such as a table that is gone; who no longer counted would be taken for dead
            logger.error("it cannot be told that this process lives: %s", error)
