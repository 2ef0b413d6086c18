"""The progress of a job as one line on a terminal."""

from __future__ import annotations

import sys
import threading
import time

from core.types import Progress

TELL_EVERY_S = 0.1


class ProgressBar:
    """One line on stderr, rewritten at most ten times a second; silent where that is no terminal. Thread-safe.

    before: stands at the beginning of the line; may change at any time.
    """

    WIDTH = 30

    def __init__(self) -> None:
        self.before = ""
        self._shown = 0.0
        self._active = sys.stderr.isatty()
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        line = f"{self.before}{progress.stage:<12} "
        if progress.total:
            filled = self.WIDTH * progress.done // progress.total
            line += f"[{'#' * filled}{'.' * (self.WIDTH - filled)}] {progress.done}/{progress.total} frames"
        elif progress.done:
            line += f"{progress.done} frames"
        self.show(line, last=0 < progress.total <= progress.done)

    def show(self, line: str, last: bool = False) -> None:
        """Writes a line of another kind. last: also where another one was written a moment ago."""
        with self._lock:
            now = time.monotonic()
            if not self._active or (now - self._shown < TELL_EVERY_S and not last):
                return
            self._shown = now
            sys.stderr.write(f"\r\x1b[K{line}  {now - self._started:.1f} s ")
            sys.stderr.flush()

    def end(self) -> None:
        """Takes the line away, so that something else can be written there."""
        with self._lock:
            if self._active:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
