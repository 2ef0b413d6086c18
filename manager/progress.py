"""The progress of a download, as a value for callers and as one line on a terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

TELL_EVERY_S = 0.1
RATE_WINDOW_S = 5.0


@dataclass(frozen=True)
class DownloadProgress:
    """The progress of a download.

    stage: "waiting" (another process downloads), "checking" (files that lie here), "downloading", "done". file: the one at hand.
    bytes_done of bytes_total, files_done of files_total: of what had to be fetched; what an earlier call left unfinished counts as done.
    rate_bytes_s: over the last seconds. left_s: at that rate; None while it is not known.
    """

    stage: Literal["waiting", "checking", "downloading", "done"]
    file: str = ""
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    rate_bytes_s: float = 0.0
    left_s: float | None = None


DownloadCallback = Callable[[DownloadProgress], None]


class Meter:
    """Counts what arrives, and tells a callback at most ten times a second."""

    def __init__(self, tell: DownloadCallback | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._told = float("-inf")
        self._window: deque[tuple[float, int]] = deque()
        self._new_bytes = 0
        self.file = ""
        self.files_done = self.files_total = self.bytes_done = self.bytes_total = 0

    def stage(self, stage: Literal["waiting", "checking", "done"], file: str = "") -> None:
        if self._tell is not None:
            self._tell(DownloadProgress(stage, file, self.files_done, self.files_total, self.bytes_done, self.bytes_total))

    def start(self, files: int, bytes_done: int, bytes_total: int) -> None:
        self.files_total, self.bytes_done, self.bytes_total = files, bytes_done, bytes_total

    def arrived(self, size: int) -> None:
        """`size` more bytes; negative where bytes had to be thrown away."""
        self.bytes_done += size
        self._new_bytes += max(size, 0)
        now = self._clock()
        self._window.append((now, self._new_bytes))
        while now - self._window[0][0] > RATE_WINDOW_S and len(self._window) > 2:
            self._window.popleft()
        if now - self._told >= TELL_EVERY_S:
            self.tell()

    def tell(self) -> None:
        self._told = self._clock()
        if self._tell is None:
            return
        rate, left_s = 0.0, None
        if len(self._window) > 1 and (span := self._window[-1][0] - self._window[0][0]) > 0:
            rate = (self._window[-1][1] - self._window[0][1]) / span
            left_s = max(self.bytes_total - self.bytes_done, 0) / rate if rate else None
        self._tell(
            DownloadProgress("downloading", self.file, self.files_done, self.files_total, self.bytes_done, self.bytes_total, rate, left_s)
        )


class TerminalBar:
    """One line on a terminal, rewritten; elsewhere (logs) one line for every file that is begun."""

    WIDTH = 24

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = ""

    def __call__(self, progress: DownloadProgress) -> None:
        if progress.stage == "done":
            return
        if not self._terminal:
            line = f"{progress.stage} {progress.file}".strip()
            if line != self._last:
                sys.stderr.write(f"{line}\n")
                self._last = line
            return
        sys.stderr.write(f"\r\x1b[K{self.line(progress)}")
        sys.stderr.flush()

    def line(self, progress: DownloadProgress) -> str:
        if progress.stage == "waiting":
            return "waiting for another process that downloads"
        if progress.stage != "downloading":
            return f"{progress.stage} {progress.file}"
        filled = min(self.WIDTH, self.WIDTH * progress.bytes_done // max(progress.bytes_total, 1))
        left = "" if progress.left_s is None else f", {human_time(progress.left_s)} left"
        return (
            f"[{'#' * filled}{'.' * (self.WIDTH - filled)}] {human_bytes(progress.bytes_done)} of {human_bytes(progress.bytes_total)}, "
            f"{human_bytes(progress.rate_bytes_s)}/s{left}  {progress.file.rpartition('/')[2]}"
        )

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def human_bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def human_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"
