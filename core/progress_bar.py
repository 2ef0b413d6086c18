"""The progress of a job as one line on a terminal."""

from __future__ import annotations

import shutil
import sys
import threading
import time

from core.generation import Progress

TELL_EVERY_S = 0.1


class ProgressBar:
    """One line on stderr, rewritten at most ten times a second; silent where that is no terminal. Thread-safe."""

    WIDTH = 30

    def __init__(self) -> None:
        self._shown = 0.0
        self._active = sys.stderr.isatty()
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        line = f"{progress.stage:<12} "
        if progress.total:
            line += f"{self.drawn(progress.done / progress.total)} {progress.done}/{progress.total} frames"
        elif progress.done:
            line += f"{progress.done} frames"
        self.show(line, last=0 < progress.total <= progress.done)

    def drawn(self, share: float) -> str:
        """share: 0..1, of what is done."""
        filled = int(self.WIDTH * share)
        return f"[{'#' * filled}{'.' * (self.WIDTH - filled)}]"

    def show(self, line: str, last: bool = False) -> None:
        """Writes a line of another kind. last: also where another one was written a moment ago."""
        with self._lock:
            now = time.monotonic()
            if not self._active or (now - self._shown < TELL_EVERY_S and not last):
                return
            self._shown = now
            line = f"{line}  {now - self._started:.1f} s "[: shutil.get_terminal_size().columns - 1]  # a longer one could not be taken away
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    def end(self) -> None:
        """Takes the line away, so that something else can be written there."""
        with self._lock:
            if self._active:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
