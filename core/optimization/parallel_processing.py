"""The stage runner: each stage on a thread of its own, bounded queues between them.

    frames = run_stages(items, [warp_batches, put_back_batches])
    for frame in frames: ...                    # closing the generator, or leaving the loop, ends all threads

A stage is a function from an iterator to an iterator, so it may gather items, split them, or keep some back. Every wait can be cancelled;
the first exception of any stage is raised at the consumer, as it was; when the consumer is done, however it ended, so are the threads.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

Stage = Callable[[Iterator[Any]], Iterator[Any]]
QUEUE_ITEMS = 2
"""Items that wait between two stages: enough to overlap, few enough that little is lost when the work is cancelled."""
JOIN_S = 60.0
"""A stage ends at its next item; longer than this no single item takes on a working machine."""


class _Stopped(Exception):
    """Raised in a stage that waits when the run is over."""


class _Run:
    """What the threads of one run share: a lock for all waits, whether to stop, and the first error."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.stopped = False
        self.error: BaseException | None = None

    def stop(self, error: BaseException | None = None) -> None:
        with self.changed:
            if not self.stopped:
                self.error = error
            self.stopped = True
            self.changed.notify_all()


class _Queue:
    """A bounded queue whose waits end when the run does."""

    def __init__(self, run: _Run, size: int) -> None:
        self._run, self._size = run, size
        self._items: deque[Any] = deque()
        self._ended = False

    def put(self, item: Any) -> None:
        run = self._run
        with run.changed:
            run.changed.wait_for(lambda: run.stopped or len(self._items) < self._size)
            if run.stopped:
                raise _Stopped
            self._items.append(item)
            run.changed.notify_all()

    def end(self) -> None:
        with self._run.changed:
            self._ended = True
            self._run.changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        run = self._run
        while True:
            with run.changed:
                run.changed.wait_for(lambda: run.stopped or self._items or self._ended)
                if run.stopped:
                    raise _Stopped
                if not self._items:
                    return
                item = self._items.popleft()
                run.changed.notify_all()
            yield item


def _started(stage: Stage, link: _Queue) -> Iterator[Any]:
    return stage(iter(link))


def run_stages(items: Iterable[Any], stages: Sequence[Stage], queue_items: int = QUEUE_ITEMS) -> Generator[Any, None, None]:
    """Yields what the last stage makes of `items`. Nothing starts before the first `next`.

    items: read on a thread of its own too. queue_items: bound of each queue, at least 1.
    """
    run = _Run()
    links = [_Queue(run, max(queue_items, 1)) for _ in range(len(stages) + 1)]

    def work(made: Callable[[], Iterator[Any]], out: _Queue) -> None:
        try:
            produced = made()
            try:
                for item in produced:
                    out.put(item)
            finally:
                close = getattr(produced, "close", None)
                if close is not None:
                    close()  # here, on the thread that ran it, so that what a stage holds is freed before the join
            out.end()
        except _Stopped:
            pass
        except BaseException as error:  # whatever it is, the consumer is told
            run.stop(error)

    makers: list[Callable[[], Iterator[Any]]] = [functools.partial(iter, items)]
    makers += [functools.partial(_started, stage, link) for stage, link in zip(stages, links, strict=False)]
    threads = [
        threading.Thread(target=work, args=(maker, link), name=f"stage-{i}", daemon=True)
        for i, (maker, link) in enumerate(zip(makers, links, strict=True))
    ]
    try:
        for thread in threads:
            thread.start()
        try:
            yield from links[-1]
        except _Stopped:
            if run.error is not None:
                raise run.error from None
            raise
    finally:
        run.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join(JOIN_S)
