"""Jobs: schedule, watch, cancel; and whose step runs on the device next.

All entry points share one scheduler. A job runs on a worker thread; what it computes on the device it computes in steps, each
inside `device_turn()`. Turns are given by when they are due: a live session's before its next frame is, a job's when nobody is in a hurry.
"""

from __future__ import annotations

import heapq
import itertools
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Literal, NoReturn, TypeVar

from core.errors import BusyError, Cancelled, TalkingHeadError, forget_frames
from core.generation import Progress, ProgressCallback

T = TypeVar("T")
Ticket = tuple[float, int]
"""Of a turn: when it is due, by time.monotonic, and the order of asking."""
PATIENCE_S = 1.0
"""How long what is not due at any time lets others go first."""
MAX_RESTING = 8
"""Each holds what it works on in memory. Beyond them nobody gives way."""
REST_S = 0.1
"""How often one that rests looks whether it is needed."""
SIGNAL_S = 0.5
"""How often a wait without end looks for signals: one that comes just before a lock is waited for does not end that wait."""
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class Job(Generic[T]):
    """One piece of work. `id` cannot be guessed; `progress` is the latest; `result()` waits.

    Made by `Scheduler.schedule` only.
    """

    def __init__(self, work: Callable[[Job[T]], T], owner: str, on_progress: ProgressCallback | None) -> None:
        self.id = secrets.token_urlsafe(16)
        self.owner = owner
        self.state: JobState = "queued"
        self.progress = Progress("queued")
        self._work = work
        self._give_way: Callable[[Job[Any], Callable[[], bool]], None] = lambda job, needed: None
        self._on_progress = on_progress
        self._cancel = threading.Event()
        self._finished = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._ending = threading.Lock()
        self._result: T | None = None
        self._error: BaseException | None = None

    @classmethod
    def finished(cls, result: T, owner: str, on_progress: ProgressCallback | None = None) -> Job[T]:
        """One that is done already, for what needs no work; `on_progress` is told so at once."""
        job = cls(lambda _: result, owner, on_progress)
        job.report(Progress("done"))
        job._run()
        return job

    def report(self, progress: Progress) -> None:
        """Called by the work at every step: stores the progress, tells the listener, and raises Cancelled when asked to stop.

        What is done can no longer be cancelled.
        """
        self.progress = progress
        if self._on_progress is not None:
            self._on_progress(progress)
        if progress.stage != "done":
            self.check()

    def check(self) -> None:
        """Raises Cancelled when the job was cancelled."""
        if self._cancel.is_set():
            raise Cancelled("The job was cancelled.")

    def cancel(self) -> None:
        """Asks the job to stop: at once if queued, else at its next step. Does not wait."""
        self._cancel.set()

    def result(self, timeout_s: float | None = None) -> T:
        """The result of the work, or its error raised. TimeoutError when it is not finished in time."""
        if not self.wait(timeout_s):
            raise TimeoutError(f"job {self.id} is still {self.state}")
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # a finished job without error has one

    def wait(self, timeout_s: float | None = None) -> bool:
        """True when the job has ended, however it ended."""
        if timeout_s is not None:
            return self._finished.wait(timeout_s)
        while not self._finished.wait(SIGNAL_S):
            pass
        return True

    def when_ended(self, listener: Callable[[], None]) -> None:
        """Calls `listener` once, the moment the job ends, on the job's thread; at once where it has ended. It must not raise."""
        with self._ending:
            if not self._finished.is_set():
                self._listeners.append(listener)
                return
        listener()

    def give_way(self, needed: Callable[[], bool]) -> None:
        """Called by the work between two steps: where other jobs wait, they have its place until one is free again, or `needed()` says
        that the work cannot be put off any longer. Returns at once where nobody waits. Raises Cancelled.
        """
        self._give_way(self, needed)
        self.check()

    def _run(self) -> None:
        try:
            self.check()
            self.state = "running"
            self._result = self._work(self)
            self.state = "done"
        except Cancelled as error:
            self._error, self.state = error, "cancelled"
        except BaseException as error:  # the worker thread lives on; whoever waits for the result meets the error
            self._error, self.state = error, "failed"
        finally:
            self._let_go()
            with self._ending:
                self._finished.set()
                listeners, self._listeners = self._listeners, []
            for listener in listeners:
                listener()

    def _let_go(self) -> None:
        """Of what it worked on, now: whoever keeps the job for its result would keep a photo and a recording as well, and so would the
        garbage until it is collected.
        """
        self._work, self._on_progress = _ended, None
        if isinstance(self._error, TalkingHeadError):  # of a defect the log needs all
            forget_frames(self._error)


def _ended(job: Job[Any]) -> NoReturn:
    raise AssertionError("a job runs once")


class Scheduler:
    """A bounded queue, places for `max_jobs` jobs (threads are started when first needed), and the turns on the device.

    A job that gives way (`Job.give_way`) rests: it keeps its thread and has no place. One that must go on does so whether or not there is
    a place for it.
    """

    def __init__(self, max_jobs: int, max_queue: int) -> None:
        self._max_jobs = max_jobs
        self._max_queue = max_queue
        self._waiting: deque[Job[object]] = deque()
        self._running: list[Job[object]] = []
        self._resting: list[Job[object]] = []
        self._waits_elsewhere: Callable[[], bool] = lambda: False
        self._on_rest: Callable[[], None] = lambda: None
        self._closed = False
        self._changed = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._turn = threading.Condition()
        self._tickets = itertools.count()
        self._turns: list[Ticket] = []
        """Of those who wait, a heap."""
        self._holder: Ticket | None = None

    def schedule(self, work: Callable[[Job[T]], T], owner: str, on_progress: ProgressCallback | None = None) -> Job[T]:
        """Queues `work`. Raises BusyError when `max_queue` jobs wait already, or half of the room is this owner's."""
        job = Job(work, owner, on_progress)
        with self._changed:
            self._ensure_room(owner)
            job._give_way = self._rest
            self._waiting.append(job)  # type: ignore[arg-type]  # Job is invariant, the queue only runs it
            self._start_worker()
            self._changed.notify_all()
        return job

    def stand_behind(self, waits: Callable[[], bool], on_rest: Callable[[], None]) -> None:
        """For a queue of jobs that are submitted only when there is a place. waits: whether some wait there; it is asked often, on any
        thread. on_rest: called when a job has given its place away, so that one of them is submitted.
        """
        self._waits_elsewhere, self._on_rest = waits, on_rest

    @property
    def n_resting(self) -> int:
        """Jobs that were begun and have no place now."""
        return len(self._resting)

    def position(self, job: Job[T]) -> int:
        """How many jobs are before a queued one; 0 for one that runs or has ended."""
        with self._changed:
            return next((i + 1 for i, other in enumerate(self._waiting) if other is job), 0)

    def stats(self) -> dict[str, int]:
        with self._changed:
            running = len(self._running) + len(self._resting)
            return {"running": running, "waiting": len(self._waiting), "max_jobs": self._max_jobs, "max_queue": self._max_queue}

    @contextmanager
    def device_turn(self, due_s: float | None = None) -> Iterator[None]:
        """Holds the device for one step. Who is due first is served first; never hold it across a yield to a consumer.

        due_s: when what is made must be there, by time.monotonic; None for what nobody waits for: it comes after all that is due before
        it has waited PATIENCE_S itself, so that it is never left out for good.
        """
        ticket = (time.monotonic() + PATIENCE_S if due_s is None else due_s, next(self._tickets))
        with self._turn:
            self._await_turn(ticket)
        try:
            yield
        finally:
            with self._turn:
                self._holder = None
                self._turn.notify_all()

    def pass_turn(self) -> None:
        """Called by who holds the device, between two parts of a step: those who are due earlier go first."""
        with self._turn:
            ticket = self._holder
            if ticket is None or not self._turns or self._turns[0] > ticket:
                return
            self._holder = None
            self._turn.notify_all()
            self._await_turn(ticket)

    def _await_turn(self, ticket: Ticket) -> None:
        heapq.heappush(self._turns, ticket)
        try:
            self._turn.wait_for(lambda: self._holder is None and self._turns[0] == ticket)
        except BaseException:
            self._turns.remove(ticket)
            heapq.heapify(self._turns)
            self._turn.notify_all()
            raise
        heapq.heappop(self._turns)
        self._holder = ticket

    def close(self, grace_s: float = 5.0, timeout_s: float = 5.0) -> None:
        """Takes no more jobs and cancels the waiting ones. Running ones have `grace_s` to end by themselves; then they are cancelled too,
        and waited for up to `timeout_s`.
        """
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.cancel()
            self._changed.notify_all()
        self._join(grace_s)
        with self._changed:
            for job in (*self._running, *self._resting):
                job.cancel()
        self._join(timeout_s)

    def _join(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def _ensure_room(self, owner: str) -> None:
        if self._closed:
            raise BusyError("The service is stopping.", "Try again later.")
        self._drop_cancelled()
        jobs = [*self._running, *self._resting, *self._waiting]
        if len(jobs) >= self._max_jobs + self._max_queue:
            raise BusyError(f"Busy: {len(self._waiting)} jobs are waiting already.", "Try again in a minute.")
        own = sum(job.owner == owner for job in jobs)
        if own >= self._max_jobs + (self._max_queue + 1) // 2:  # one owner leaves room for the others
            raise BusyError(f"Busy: {own} jobs of yours are under way already.", "Wait until one of them is done.")

    def _drop_cancelled(self) -> None:
        for job in [job for job in self._waiting if job._cancel.is_set()]:
            self._waiting.remove(job)
            job._run()  # ends as cancelled, without work

    def _rest(self, job: Job[Any], needed: Callable[[], bool]) -> None:
        if len(self._resting) >= MAX_RESTING or not self._others_wait():
            return
        with self._changed:
            self._running.remove(job)
            self._resting.append(job)
            self._start_worker()
            self._changed.notify_all()
        try:
            self._on_rest()
            with self._changed:
                while not (job._cancel.is_set() or needed() or (len(self._running) < self._max_jobs and not self._others_wait())):
                    self._changed.wait(REST_S)
        finally:
            with self._changed:
                self._resting.remove(job)
                self._running.append(job)

    def _others_wait(self) -> bool:
        return bool(self._waiting) or self._waits_elsewhere()

    def _start_worker(self) -> None:
        """One more for a job that waits, unless each place has its own."""
        if self._waiting and len(self._workers) < self._max_jobs + len(self._resting):
            worker = threading.Thread(target=self._work, name=f"job-{len(self._workers)}", daemon=True)
            self._workers.append(worker)
            worker.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._running) < self._max_jobs if self._waiting else self._closed)
                if not self._waiting:
                    return
                job = self._waiting.popleft()
                self._running.append(job)
            job._run()
            with self._changed:
                self._running.remove(job)
                self._changed.notify_all()
            del job  # the wait for the next one may be long
