"""Gives memory that jobs have freed back to the system, which the C library would keep for later."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

PAUSE_S = 5.0
"""Between two times: looking through the memory takes milliseconds, in which who allocates waits."""


def give_back() -> None:
    """Of all threads. Nothing happens where the C library is not glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class FreedMemory:
    """Gives back after jobs have ended, at most every `pause_s`. work: does it."""

    def __init__(self, pause_s: float = PAUSE_S, work: Callable[[], None] = give_back) -> None:
        self._pause_s, self._work = pause_s, work
        self._ended = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="freed-memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def job_ended(self) -> None:
        """From any thread; comes back at once."""
        self._ended.set()

    def close(self) -> None:
        self._closing.set()
        self._ended.set()

    def _run(self) -> None:
        while self._ended.wait() and not self._closing.wait(self._pause_s):  # the pause first: what ended is let go meanwhile
            self._ended.clear()
            self._work()
