"""Closes MediaPipe's tasks once nobody uses them, and lets go of the others at the interpreter's end.

A task's own destructor waits for a thread of the task. Where the garbage collector calls it, that thread may have been told to end by
then, and the wait lasts for ever; at the interpreter's end it always has. So tasks are kept from the collector, and closed by a thread
that holds no lock of anybody's.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)
_open: set[Any] = set()
_unused: queue.SimpleQueue[Any] = queue.SimpleQueue()
"""Its `put` may be called by the garbage collector, in the middle of anything."""
_starting = threading.Lock()
_closer: threading.Thread | None = None


def keep_until_unused(user: object, task: Any) -> Callable[[], None]:
    """Closes `task` when `user`, which alone holds it, is collected. Returns what closes it now; a second call does nothing."""
    global _closer  # noqa: PLW0603 - one thread for all
    with _starting:
        if _closer is None:
            _closer = threading.Thread(target=_close_unused, name="unused-tasks", daemon=True)
            _closer.start()
    _open.add(task)
    collected = weakref.finalize(user, _unused.put, task)
    collected.atexit = False

    def close() -> None:
        if collected.detach() is not None:
            _close(task)

    return close


def _close_unused() -> None:
    while True:
        _close(_unused.get())


def _close(task: Any) -> None:
    _open.discard(task)
    try:
        task.close()
    except RuntimeError as error:
        if "cannot schedule new futures" not in str(error):  # else the program ended meanwhile, and MediaPipe's executor with it
            logger.warning("MediaPipe does not close a task: %s", error)
        _forget(task)


def _forget(task: Any) -> None:
    """Without its handle a task closes nothing: the destructor would call into an executor that is gone, and fail noisily."""
    task._handle = None


@atexit.register
def _forget_all() -> None:
    for task in list(_open):
        _forget(task)
