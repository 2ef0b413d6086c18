"""The pieces of a stream that another process makes, taken one by one by its reader here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from core.errors import Cancelled, TalkingHeadError
from core.media.segments import Segment
from core.service.errors import UnknownJob

AGAIN_S, TRIES = 0.1, 50
"""A job that was just begun is known to the process that begun it a moment later."""


@dataclass(frozen=True)
class Piece:
    """mime_type: as of `core.streaming.recording.SegmentStream`. segment: None after the last one."""

    mime_type: str
    segment: Segment | None


class StreamMakers(Protocol):
    """The processes that make videos, asked by the name that they have among the workers of the job store. Thread-safe."""

    def piece(self, job_id: str, worker: str) -> Piece:
        """The next piece of a stream, which is waited for. Raises what ended its job, UnknownJob where it is not made there, and BusyError
        where the process has ended.
        """


class RemoteStream(Iterator[Segment]):
    """As `SegmentStream`, for a job that runs in another process. One reader; `close` may come from any thread.

    worker: waits until the job has been begun (or the event is set) and names who does it; raises what ended it before.
    """

    def __init__(self, job_id: str, makers: StreamMakers, worker: Callable[[threading.Event], str]) -> None:
        self._job_id, self._makers, self._find_worker = job_id, makers, worker
        self._worker = ""
        self._closed = threading.Event()
        self._error: TalkingHeadError | None = None
        self._read_all = False
        self._used_s = time.monotonic()
        self.begun = False
        self.mime_type = ""

    def __next__(self) -> Segment:
        """Waits for a piece. Raises what ended the job, after the pieces made before it; and what `close` was given."""
        if self._read_all:
            raise StopIteration
        piece = self._next()
        self._used_s = time.monotonic()
        if self._closed.is_set():
            raise self._error or Cancelled("The stream was closed.")
        self.mime_type = piece.mime_type
        if piece.segment is None:
            self._read_all = True
            raise StopIteration
        self.begun, self._read_all = True, piece.segment.final
        return piece.segment

    @property
    def idle_s(self) -> float:
        """How long the reader has taken nothing, though the job may be done."""
        return time.monotonic() - self._used_s

    def close(self, error: TalkingHeadError | None = None) -> None:
        """The reader takes no more; its job ends by itself, or is cancelled by who accepted it.

        error: what a reader that has not read all meets from now on; None where it is the reader that closes.
        """
        self._error = error
        self._closed.set()

    def _next(self) -> Piece:
        if not self._worker:
            self._worker = self._find_worker(self._closed)
        for _ in range(TRIES):
            try:
                return self._makers.piece(self._job_id, self._worker)
            except UnknownJob:
                if self.begun or self._closed.wait(AGAIN_S):
                    raise
        raise UnknownJob
