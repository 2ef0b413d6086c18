"""A logging filter that writes a repeated line once, with its count.

    install(logging.getLogger())

The first is logged at once. The same again within `WINDOW_S` is only counted; when the window ends, or the process, one line more says how
often it came.
"""

from __future__ import annotations

import atexit
import copy
import logging
import math
import threading
import time
from collections import OrderedDict

WINDOW_S = 60.0
MAX_LINES = 1000
"""Different lines remembered; of more, the oldest are told and forgotten."""

_Line = tuple[str, int, str]


class _Seen:
    def __init__(self, record: logging.LogRecord, at_s: float) -> None:
        self.record, self.at_s, self.repeats = record, at_s, 0


class RepeatFilter(logging.Filter):
    """For one handler. Thread-safe. Two lines are the same where logger, level, text and, with a traceback, the exception's are."""

    def __init__(self, handler: logging.Handler, window_s: float = WINDOW_S) -> None:
        super().__init__()
        self._handler, self._window_s = handler, window_s
        self._seen: OrderedDict[_Line, _Seen] = OrderedDict()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "counted_repeats", False):
            return True
        now = time.monotonic()
        line = _line(record)
        with self._lock:
            ended = self._take_ended(now)
            seen = self._seen.get(line)
            if seen is None:
                self._seen[line] = _Seen(record, now)
            else:
                seen.repeats += 1
                if self._timer is None:
                    self._start_timer(seen.at_s + self._window_s - now)
        self._tell(ended)
        return seen is None

    def flush(self) -> None:
        """Says now how often each line came, and forgets them."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            ended = list(self._seen.values())
            self._seen.clear()
        self._tell(ended)

    def _take_ended(self, now: float) -> list[_Seen]:
        ended = []
        while self._seen:
            oldest = next(iter(self._seen.values()))
            if now - oldest.at_s < self._window_s and len(self._seen) < MAX_LINES:
                break
            ended.append(self._seen.popitem(last=False)[1])
        return ended

    def _start_timer(self, wait_s: float) -> None:
        self._timer = threading.Timer(max(0.0, wait_s), self._on_time)
        self._timer.daemon = True
        self._timer.start()

    def _on_time(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._timer = None
            ended = self._take_ended(now)
            waiting = next((seen for seen in self._seen.values() if seen.repeats), None)
            if waiting is not None:
                self._start_timer(waiting.at_s + self._window_s - now)
        self._tell(ended)

    def _tell(self, ended: list[_Seen]) -> None:
        for seen in ended:
            if seen.repeats:
                told = copy.copy(seen.record)
                times = "once" if seen.repeats == 1 else f"{seen.repeats} times"
                told.msg, told.args = f"{seen.record.getMessage()} (repeated {times} in {math.ceil(time.monotonic() - seen.at_s)} s)", ()
                told.exc_info = told.exc_text = told.stack_info = None
                told.created = time.time()
                told.counted_repeats = True
                self._handler.handle(told)


def install(logger: logging.Logger) -> None:
    """Lets every handler of `logger` say once what repeats. May be called again."""
    for handler in logger.handlers:
        if not any(isinstance(each, RepeatFilter) for each in handler.filters):
            repeats = RepeatFilter(handler)
            handler.addFilter(repeats)
            atexit.register(repeats.flush)


def _line(record: logging.LogRecord) -> _Line:
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        text += f"\n{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
    return record.name, record.levelno, text
