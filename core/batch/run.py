"""Makes the videos of a list, one or several at once; a run that was stopped goes on where it was."""

from __future__ import annotations

import contextlib
import queue
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from core.batch.job_list import BatchJob, WrongRow
from core.batch.records import digest, finished, write_record
from core.batch.requests import JobRequests
from core.errors import Cancelled, DiskFull, TalkingHeadError
from core.generation import Generation, Progress
from core.scheduler import SIGNAL_S, Job
from core.studio import Studio

State = Literal["made", "kept", "failed", "left"]
GRACE_S = 15.0
"""How long jobs that are told to stop are waited for: each ends with the frame it is at, and removes what it has written."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a job. "kept": it had been made before. "left": the run was stopped before. info: of the video. error: why not."""

    job: BatchJob
    state: State
    info: dict[str, Any] | None = None
    error: BaseException | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        told: dict[str, Any] = {"line": self.job.line, "output": str(self.job.output), "state": self.state}
        if self.info is not None:
            told["info"] = self.info
        if self.error is not None:
            told |= {"error": str(self.error), "code": getattr(self.error, "code", "")}
        return told


class BatchRun:
    """at_once: jobs that run at the same time; the studio has places for so many, and one more may wait. told: each outcome, once, as
    soon as it is known. bar: is told how far the jobs are, on their threads.
    """

    def __init__(
        self,
        studio: Studio,
        requests: JobRequests,
        jobs: Sequence[BatchJob],
        at_once: int,
        told: Callable[[Outcome], None],
        bar: Callable[[BatchJob, Progress], None],
    ) -> None:
        self._studio, self._requests, self._at_once, self._told, self._bar = studio, requests, at_once, told, bar
        self._left = deque(jobs)
        self._digests: dict[int, str] = {}
        self._running: dict[int, tuple[BatchJob, Job[Generation]]] = {}
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._full: DiskFull | None = None
        self.outcomes: list[Outcome] = []
        """So far, in the order in which they were known."""

    def check(self, checking: Callable[[int], None] = lambda n: None) -> list[WrongRow]:
        """Sorts out what is made already, and reads all that the others are made of. Returns the rows that are known to fail.

        checking: is told how many rows were looked at before each.
        """
        wrong = []
        left: deque[BatchJob] = deque()
        for n, job in enumerate(self._left):
            checking(n)
            try:
                known = self._look_up(job)
                if known is not None:
                    self._add(Outcome(job, "kept", known))
                    continue
                self._requests.check(job)
                left.append(job)
            except TalkingHeadError as error:
                wrong.append(WrongRow(job.line, error))
        self._left = left
        return wrong

    def run(self) -> None:
        """Makes what is left. A job that fails is told and the others go on.

        Raises DiskFull where there is no room for any more. That and an interrupt (Ctrl-C) end the jobs before they are raised; what was
        done by then counts.
        """
        try:
            while self._left or self._running:
                while self._left and len(self._running) <= self._at_once:  # one more is ready when a place is free
                    self._submit(self._left[0])
                if self._running:
                    self._collect(self._next_ended())
                if self._full is not None:
                    raise self._full
        finally:
            for _, running in self._running.values():
                running.cancel()
            deadline = time.monotonic() + GRACE_S
            for line, (_, running) in list(self._running.items()):
                if running.wait(max(0.0, deadline - time.monotonic())):
                    self._collect(line)
            for job in [*(job for job, _ in self._running.values()), *self._left]:
                self._add(Outcome(job, "left"))
            self._left.clear()

    def _next_ended(self) -> int:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._ended.get(timeout=SIGNAL_S)

    def _look_up(self, job: BatchJob) -> dict[str, Any] | None:
        """What is known of its video where that is made already. Raises as `JobRequests.made_by`."""
        made_by = self._requests.made_by(job)
        try:
            self._digests[job.line] = digest(job, made_by)
        except (OSError, ValueError):  # whoever reads the file has the words for it
            return None
        return finished(job.output, self._digests[job.line])

    def _submit(self, job: BatchJob) -> None:
        try:
            self._look_up(job)  # its files as they are now
            running = self._studio.submit(self._requests.make(job), job.output, partial(self._bar, job))
        except TalkingHeadError as error:
            self._left.popleft()
            self._add(Outcome(job, "failed", error=error))
            return
        self._left.popleft()
        self._running[job.line] = (job, running)
        running.when_ended(partial(self._ended.put, job.line))

    def _collect(self, line: int) -> None:
        """Takes over what has ended."""
        if line not in self._running:  # it was collected when the run was stopped
            return
        job, running = self._running.pop(line)
        try:
            info = running.result().info.to_dict()
            write_record(job.output, self._digests[line], info)
            outcome = Outcome(job, "made", info)
        except Cancelled:
            self._left.appendleft(job)
            return
        except TalkingHeadError as error:
            outcome = Outcome(job, "failed", error=error)
            self._full = error if isinstance(error, DiskFull) else self._full
        except Exception as error:  # a defect: the other jobs go on, and the traceback is what can be told of it
            traceback.print_exception(error, file=sys.stderr)
            outcome = Outcome(job, "failed", error=error)
        self._add(outcome)  # it may raise, where nobody reads what is told any more: then the run ends, and each outcome stands once

    def _add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._told(outcome)
