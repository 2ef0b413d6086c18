"""What jobs hand out while they run: of a stream, its pieces."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from concurrent.futures import Future
from typing import Any

from core.errors import Cancelled
from core.service.errors import UnknownJob

HANDLE_S, READER_S = 60.0, 600.0
"""How long what a job handed out can still be had after its end, and how long a reader that has begun may take nothing of it then."""


class JobHandles:
    """A future for each stream of this process; its result is a `core.streaming.recording.SegmentStream`. Thread-safe."""

    def __init__(self) -> None:
        self._handles: dict[str, Future[Any]] = {}

    def open(self, job_id: str) -> Future[Any]:
        """The same one where it is open already."""
        return self._handles.setdefault(job_id, Future())

    def get(self, job_id: str) -> Future[Any]:
        """Raises UnknownJob."""
        try:
            return self._handles[job_id]
        except KeyError:
            raise UnknownJob from None

    def fail(self, job_id: str, error: BaseException) -> None:
        """Tells who waits for it that the job hands nothing out, where it has not done so."""
        handle = self._handles.get(job_id)
        if handle is not None and not handle.done():
            handle.set_exception(error)

    def fail_all(self, error: BaseException) -> None:
        for job_id in list(self._handles):
            self.fail(job_id, error)

    def close(self, job_id: str) -> None:
        """Ends the reading of what was handed out; nobody can have it any longer."""
        handed_out = _handed_out(self._handles.pop(job_id, None))
        if handed_out is not None:
            handed_out.close(Cancelled("Nobody took the rest of the stream in time.", "Read it as it comes.", code="stream_unread"))

    def close_unread(self, unended: Set[str], ended_s: Mapping[str, float]) -> None:
        """Closes what nobody reads. unended: jobs that wait or run. ended_s: by job, when it ended (Unix time), unless it is forgotten."""
        now_s = time.time()
        for job_id in set(self._handles) - unended:
            if now_s - ended_s.get(job_id, 0.0) > HANDLE_S and not self._is_read(job_id):
                self.close(job_id)

    def _is_read(self, job_id: str) -> bool:
        handed_out = _handed_out(self._handles.get(job_id))
        return handed_out is not None and handed_out.idle_s < (READER_S if handed_out.begun else HANDLE_S)


def _handed_out(handle: Future[Any] | None) -> Any | None:
    if handle is None or not handle.done() or handle.cancelled() or handle.exception() is not None:
        return None
    return handle.result()
