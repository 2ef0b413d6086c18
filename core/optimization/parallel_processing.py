"""Runs the stages of a pipeline on threads of their own, so that different items overlap.

    runner = StageRunner([draw, put_back])
    for pictures in runner.run(batches): ...
    runner.close()

The stages of different items overlap, with each other and with the reading of `items`, which happens on the caller's thread. Nothing is
computed that was not asked for: when `run` is at its end, or was left, the stages rest. That is what lets a caller who has the device for
one step compute exactly that step.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from core.errors import Cancelled

Stage = Callable[[Any], Any]
"""One item in, one result out."""
WAITING = 2
"""Items under way beyond one in each stage: enough to overlap, few enough that little is lost when the work is cancelled."""
JOIN_S = 1.0
"""How long `close` waits for a stage in the middle of an item. A longer one ends by itself when its item is done."""


class _Line:
    """What the threads share: a queue before each stage and one behind the last, and how it all ended.

    Apart from the runner, so that threads that wait do not keep a forgotten runner alive.
    """

    def __init__(self, n_stages: int) -> None:
        self._changed = threading.Condition()
        self._queues: list[deque[Any]] = [deque() for _ in range(n_stages + 1)]  # bounded by what `run` lets in
        self._ended = False
        self.error: BaseException | None = None

    def put(self, queue: int, item: Any) -> None:
        with self._changed:
            self._queues[queue].append(item)
            self._changed.notify_all()

    def take(self, queue: int) -> Any:
        """Waits. Raises the first error of any stage, or Cancelled where the runner was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._queues[queue])
            if self._ended:
                raise self.error or Cancelled("The work was stopped.")
            return self._queues[queue].popleft()

    def end(self, error: BaseException | None = None) -> None:
        with self._changed:
            if not self._ended:
                self._ended, self.error = True, error
                for queue in self._queues:
                    queue.clear()
            self._changed.notify_all()


def _work(line: _Line, number: int, stage: Stage) -> None:
    try:
        while True:
            line.put(number + 1, stage(line.take(number)))
    except BaseException as error:  # whatever it is, the consumer is told; a second one changes nothing
        line.end(error)


class StageRunner:
    """Threads start with the first item, and anew after `close` or an error. `run` serves one consumer at a time.

    stages: each is called from one thread only. They must not refer to the runner, or it never goes by itself.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)
        self._line: _Line | None = None
        self._end: Callable[[], object] | None = None
        self._threads: list[threading.Thread] = []

    def run(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yields what the last stage makes of each item, in order. To be read to its end; left before, what is under way is dropped.

        The first exception of a stage, or of `items`, is raised as it was.
        """
        line: _Line | None = None
        under_way, most = 0, len(self._stages) + WAITING
        try:
            for item in items:
                line = line or self._started()
                if under_way == most:
                    yield line.take(len(self._stages))
                    under_way -= 1
                line.put(0, item)
                under_way += 1
            while line is not None and under_way:
                yield line.take(len(self._stages))
                under_way -= 1
        except Exception as error:
            cause = line.error if line is not None else None
            if cause is not None and cause is not error:
                raise cause from None  # a stage had failed before `items` did
            raise
        finally:
            if under_way:
                self.close()

    def close(self) -> None:
        """Ends the threads; a consumer that waits on another thread meets Cancelled."""
        if self._end is not None:
            self._end()
            for thread in self._threads:
                thread.join(JOIN_S / len(self._threads))
            self._line, self._end, self._threads = None, None, []

    def _started(self) -> _Line:
        if self._line is None:
            line = self._line = _Line(len(self._stages))
            self._end = weakref.finalize(self, line.end)  # also when the runner is forgotten
            self._threads = [
                threading.Thread(target=_work, args=(line, number, stage), name=f"stage-{number}", daemon=True)
                for number, stage in enumerate(self._stages)
            ]
            for thread in self._threads:
                thread.start()
        return self._line
