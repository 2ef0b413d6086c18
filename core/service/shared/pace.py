"""How long a part of a large file may take on its way to a store, from how parts before it went."""

from __future__ import annotations

import threading
from collections.abc import Sequence

GOOD_IN_A_ROW = 3
"""Answers, each in less than half the time that the next shorter limit allows, after which that one holds again."""


class Pace:
    """limits_s: how long a part may take, from the usual to the longest. part_bytes: how many bytes are under way at a time with each
    limit. Thread-safe.
    """

    def __init__(self, limits_s: Sequence[float], part_bytes: Sequence[int]) -> None:
        self._limits_s, self._part_bytes = tuple(limits_s), tuple(part_bytes)
        self._place = self._good = 0
        self._lock = threading.Lock()

    @property
    def place(self) -> int:
        """The index of the limit that holds now."""
        return self._place

    def too_slow(self, place: int) -> bool:
        """A part took longer than the limit at `place`: from now on a longer one holds. False where there is none."""
        with self._lock:
            self._good = 0
            if place + 1 == len(self._limits_s):
                return False
            self._place = max(self._place, place + 1)
            return True

    def answered(self, place: int, nbytes: int, took_s: float) -> bool:
        """So many bytes were through in `took_s` with the limit at `place`. True where a shorter limit holds again from now on."""
        with self._lock:
            if place != self._place or not place:
                return False
            shorter = place - 1
            good = took_s * self._part_bytes[shorter] < self._limits_s[shorter] / 2 * nbytes
            self._good = self._good + 1 if good else 0
            if self._good < GOOD_IN_A_ROW:
                return False
            self._place, self._good = shorter, 0
            return True
