"""What a job does again when the shared store of files was away: nothing that was accepted is lost by that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from core.errors import BusyError
from core.service.job_runner import Running

T = TypeVar("T")
FILES_AWAY = "files_away"
"""Code of the error that `ObjectStore` raises."""
AGAIN_S = 1.0


def when_files_answer(running: Running, work: Callable[[], T]) -> T:
    """`work`, done again until the store answers.

    Raises Cancelled where the job is cancelled, or this process stops; then it is the next one's.
    """
    while True:
        try:
            return work()
        except BusyError as error:
            if error.code != FILES_AWAY:
                raise
            running.check()
            time.sleep(AGAIN_S)
            running.check()
