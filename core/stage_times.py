"""Records when each stage of a generation ran, while somebody asked for it.

with recording() as stages:
    studio.generate(...)
print(stages.table())
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Span:
    """One run of a stage. items: frames, windows of motion or pieces of sound in it. start_s, end_s: by time.perf_counter."""

    stage: str
    items: int
    thread: str
    start_s: float
    end_s: float


class StageTimes:
    """Spans of all threads, in the order in which they ended. settle: waits until the device has done what it was given."""

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self.spans: list[Span] = []
        self._settle = settle

    @contextmanager
    def span(self, stage: str, items: int) -> Iterator[None]:
        self._settle()
        start_s = time.perf_counter()
        yield
        self._settle()
        self.spans.append(Span(stage, items, threading.current_thread().name, start_s, time.perf_counter()))

    def rows(self) -> list[dict[str, Any]]:
        """One row per stage, the most expensive first; times in milliseconds. per_item_ms: of a frame, a window or a piece of sound."""
        by_stage: dict[str, list[Span]] = {}
        for span in list(self.spans):
            by_stage.setdefault(span.stage, []).append(span)
        rows = []
        for stage, spans in by_stage.items():
            times = sorted(1000 * (span.end_s - span.start_s) for span in spans)
            items = sum(span.items for span in spans)
            rows.append(
                {
                    "stage": stage, "calls": len(spans), "items": items, "total_ms": round(sum(times), 2),
                    "median_ms": round(statistics.median(times), 3), "p95_ms": round(times[round(0.95 * (len(times) - 1))], 3),
                    "per_item_ms": round(sum(times) / items, 3) if items else None,
                }
            )  # fmt: skip
        return sorted(rows, key=lambda row: -row["total_ms"])

    def table(self) -> str:
        """The rows as text, one line each under a line of names."""
        names = ("stage", "calls", "items", "total_ms", "median_ms", "p95_ms", "per_item_ms")
        lines = [names, *([str(row[name]) for name in names] for row in self.rows())]
        widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
        cells = ((text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths, strict=True)))
                 for line in lines)  # fmt: skip
        return "\n".join("  ".join(line) for line in cells) + "\n"

    def write_trace(self, path: Path) -> None:
        """The spans as a trace that chrome://tracing and ui.perfetto.dev show."""
        spans = list(self.spans)
        began_s = min((span.start_s for span in spans), default=0.0)
        threads = {name: number for number, name in enumerate(dict.fromkeys(span.thread for span in spans), start=1)}
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": name}} for name, number in threads.items()
        ]
        events += [
            {
                "ph": "X", "name": span.stage, "pid": 1, "tid": threads[span.thread], "ts": round(1e6 * (span.start_s - began_s), 1),
                "dur": round(1e6 * (span.end_s - span.start_s), 1), "args": {"items": span.items},
            }
            for span in spans
        ]  # fmt: skip
        path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")


_active: StageTimes | None = None
_NOTHING: AbstractContextManager[None] = nullcontext()


def stage(name: str, items: int = 1) -> AbstractContextManager[None]:
    """Around one run of a stage; costs nothing where nobody records. A stage that raises is not counted."""
    return _NOTHING if _active is None else _active.span(name, items)


@contextmanager
def recording(settle: Callable[[], None] = lambda: None) -> Iterator[StageTimes]:
    """Records the stages of this process until its end; one recording at a time. settle: as of StageTimes."""
    global _active
    if _active is not None:
        raise RuntimeError("stages are being recorded already")
    _active = times = StageTimes(settle)
    try:
        yield times
    finally:
        _active = None
