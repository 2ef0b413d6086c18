"""The threads of one process that take jobs from the store and do them, one after the other."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from core.errors import BusyError, Cancelled, InputError, TalkingHeadError, forget_frames
from core.generation import Progress
from core.service.job_store import JobRecord, JobState, JobStore
from core.service.job_topics import QUEUE, cancel_topic, job_topic, owner_topic, preview_topic
from core.service.job_views import as_values
from core.service.topics import Topics
from core.service.worker_liveness import WorkerLiveness

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 10
"""A job during which the process ended so often is not tried again: it may be what ends it."""
LOOK_S = 2.0
"""How often it is looked whether another process has died, and for news that got lost on the way."""
RECORDED_S = 0.25
"""How often progress is recorded; in this process it is known at once."""


class Running:
    """One job that runs in this process: its latest progress, and how it is stopped. `work` is given this to report to."""

    def __init__(
        self,
        record: JobRecord,
        tell: Callable[[Running, bool], None],
        noted: Callable[[JobRecord], None],
        tell_owner: Callable[[JobRecord], None],
    ) -> None:
        self.record = record
        self._tell, self._noted, self._tell_owner = tell, noted, tell_owner
        self._stop: Callable[[], None] | None = None
        self._cancelled = threading.Event()
        self._lock = threading.Lock()

    def report(self, progress: Progress) -> None:
        """Called at every step. It never raises: what is to be stopped is told so by `stop_with`."""
        now_s = time.time()
        with self._lock:
            before = self.record
            begun = now_s if progress.stage == "animating" and not before.animating_s else before.animating_s
            self.record = dataclasses.replace(
                before, stage=progress.stage, done=progress.done, total=progress.total, animating_s=begun, updated_s=now_s
            )
        self._tell(self, progress.preview)

    def note(self, result: Mapping[str, Any]) -> None:
        """What is known of the result so far, for those who look at the job."""
        with self._lock:
            self.record = dataclasses.replace(self.record, result={**(self.record.result or {}), **result})
        self._noted(self.record)

    def note_made(self, result: Mapping[str, Any]) -> None:
        """The video can be seen, though the job goes on."""
        self.note(result)
        self._tell_owner(self.record)

    def stop_with(self, stop: Callable[[], None]) -> None:
        """`stop` is called when the job is cancelled, at once where it was already."""
        with self._lock:
            self._stop = stop
            cancelled = self._cancelled.is_set()
        if cancelled:
            stop()

    def check(self) -> None:
        """Raises Cancelled when the job was cancelled."""
        if self._cancelled.is_set():
            raise Cancelled("The job was cancelled.", code="cancelled")

    def cancel(self) -> None:
        with self._lock:
            self._cancelled.set()
            stop = self._stop
        if stop is not None:
            stop()


class Work(Protocol):
    """Does a job on the thread that calls, and gives its result as plain JSON values. Raises what went wrong; Cancelled where stopped."""

    def __call__(self, running: Running) -> Mapping[str, Any]: ...


class JobRunner:
    """slots: jobs at the same time; with 0 it takes none. liveness: tells others that this process lives.

    on_end: called with the record of each job that ended here, on its thread. resting: how many of them were begun and have given way to
    others (core/scheduler.py); they take no slot. worker: the name of this process among those that share the store, which no other had
    before; "" for one made up here.
    """

    def __init__(
        self,
        store: JobStore,
        topics: Topics,
        work: Work,
        slots: int,
        liveness: WorkerLiveness,
        on_end: Callable[[JobRecord], None],
        resting: Callable[[], int] = lambda: 0,
        worker: str = "",
    ) -> None:
        self.worker = worker or secrets.token_hex(8)
        self._store, self._topics, self._work, self._liveness, self._on_end = store, topics, work, liveness, on_end
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()
        self._wake = threading.Semaphore(0)
        self._closing = False
        self._slots, self._resting = slots, resting
        liveness.announce(self.worker, slots)
        self._claiming = threading.Lock()
        self._threads = [threading.Thread(target=self._loop, name=f"jobs-{n}", daemon=True) for n in range(slots)]
        self._ending = threading.Event()
        self._looking = threading.Thread(target=self._look, name="jobs-look", daemon=True)
        self._end_watch = topics.subscribe(QUEUE, self._wake.release)
        self._recorded_s: dict[str, float] = {}

    def start(self) -> None:
        self.take_over()
        for thread in (*self._threads, self._looking):
            thread.start()

    def job_rests(self) -> None:
        """Called when `resting` has grown: another job can be begun, on a thread of its own."""
        with self._lock:
            if not self._closing and len(self._threads) < self._slots + self._resting():
                self._threads.append(threading.Thread(target=self._loop, name=f"jobs-{len(self._threads)}", daemon=True))
                self._threads[-1].start()
        self._wake.release()

    def running(self, job_id: str) -> Running | None:
        with self._lock:
            return self._running.get(job_id)

    def take_over(self) -> None:
        """Puts the jobs of processes that died back into the queue."""
        self._liveness.announce(self.worker, self._slots)
        with self._claiming:  # what is claimed is known to run before anybody looks
            with self._lock:
                running = set(self._running)
            if self._store.put_back_lost(self.worker, running):
                self._topics.publish(QUEUE)
        for worker in self._store.workers() - {self.worker}:
            if self._liveness.is_dead(worker):
                gone = BusyError("The service was restarted, and the connection that waited is gone.", "Send it again.", code="restarted")
                self.put_back(worker, gone)

    def put_back(self, worker: str, why: BusyError) -> None:
        """What ran there runs again; what only its client waits for fails, and says why."""
        for record in self._store.requeue(worker):
            if record.kind == "stream" or not (record.kept or record.idempotency_key):
                self._finish(record, "failed", error=as_values(why))
        self._topics.publish(QUEUE)

    def close(self, grace_s: float, timeout_s: float) -> None:
        """Takes no more jobs. Those that run have `grace_s` to end; then they go back into the queue, for the next process."""
        self._closing = True
        self._ending.set()
        self._end_watch()
        for _ in self._threads:
            self._wake.release()
        self._join(grace_s)
        with self._lock:
            left = list(self._running.values())
        for running in left:
            running.cancel()
        self._join(timeout_s)
        try:
            self.put_back(self.worker, BusyError("The service is stopping.", "Send it again in a minute.", code="stopping"))
        except BusyError as error:  # the store is away: others put it back once they know that this process has ended
            logger.warning("jobs were not put back: %s", error)
        self._liveness.withdraw()

    def _join(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _look(self) -> None:
        """On a thread of its own: others' jobs do not wait until what runs here has ended."""
        while not self._ending.wait(LOOK_S):
            try:
                self.take_over()
            except BusyError:  # the store is away, which it says by itself
                pass
            except Exception:  # the store failed: the next look may find it well again
                logger.exception("it cannot be seen what others left behind")

    def _loop(self) -> None:
        while not self._closing:
            try:
                running = self._claimed()
                if running is not None:
                    self._do(running)
                    continue
                self._wake.acquire(timeout=LOOK_S)
            except Exception:  # the store failed: the next look may find it well again
                logger.exception("the queue cannot be read")
                time.sleep(LOOK_S)

    def _claimed(self) -> Running | None:
        """The next job, which counts as running from now on; None where there is no place, or nothing waits."""
        with self._claiming:
            with self._lock:
                if len(self._running) - self._resting() >= self._slots:
                    return None
            record = self._store.claim(self.worker, time.time())
            if record is None:
                return None
            running = Running(record, self._told, self._noted, lambda record: self._topics.publish(owner_topic(record.owner)))
            with self._lock:
                self._running[record.id] = running
            return running

    def _do(self, running: Running) -> None:
        record = running.record
        end_watch = self._topics.subscribe(cancel_topic(record.id), running.cancel)
        self._topics.publish(job_topic(record.id))
        try:
            ended = self._worked(running)
            if ended is not None:
                self._finish(running.record, *ended)  # raises where the store is away: `take_over` puts the job back
        finally:
            end_watch()
            with self._lock:
                self._running.pop(record.id, None)
                self._recorded_s.pop(record.id, None)
            self._topics.publish(job_topic(record.id))

    def _worked(self, running: Running) -> tuple[JobState, Mapping[str, Any] | None, Mapping[str, Any] | None] | None:
        """Does the job. How it ended: its state, result and error; None where it is left to the next process."""
        record = running.record
        try:
            if record.cancel_requested or self._was_cancelled(record.id):
                running.cancel()
            if record.attempts > MAX_ATTEMPTS:
                raise InputError(
                    f"The service ended {record.attempts - 1} times while this was made.", "Try another photo or recording.", code="crashes"
                )
            return "done", self._work(running), None
        except Cancelled as error:
            forget_frames(error)
            if self._closing and not self._was_cancelled(record.id):
                return None  # `close` puts it back
            return "cancelled", None, as_values(error)
        except TalkingHeadError as error:
            logger.info("job %s: %s", record.id[:6], error)
            forget_frames(error)
            return "failed", None, as_values(error)
        except BaseException as error:  # a defect: whoever asks for the job is told so, the log has the rest
            logger.error("job %s failed", record.id[:6], exc_info=error)
            forget_frames(error)
            return "failed", None, as_values(error)

    def _was_cancelled(self, job_id: str) -> bool:
        try:
            now = self._store.get(job_id)
        except BusyError:  # the store is away; a cancellation is told as news, too
            return False
        return now is None or now.cancel_requested or now.state == "cancelled"

    def _finish(
        self, record: JobRecord, state: JobState, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
    ) -> None:
        now_s = time.time()
        if not self._store.finish(record.id, state, now_s, result, error, record.attempts):
            logger.warning("job %s was begun anew elsewhere: this process was taken for dead, and its end does not count", record.id[:6])
            return  # its files are those of who does it now
        try:
            self._on_end(dataclasses.replace(record, state=state, ended_s=now_s, result=result, error=error))
        finally:  # it is recorded: whoever watches is told, whatever becomes of the rest
            self._topics.publish(job_topic(record.id))
            self._topics.publish(owner_topic(record.owner))

    def _noted(self, record: JobRecord) -> None:
        try:
            self._store.note_running(record.id, record.result or {})
        except BusyError:  # the store is away: in other processes it is known when the job has ended
            pass
        self._topics.publish(job_topic(record.id))

    def _told(self, running: Running, preview: bool) -> None:
        """Progress: at once to who watches in this process, from time to time to the store and the other processes, and of a preview."""
        record, now_s = running.record, time.monotonic()
        due = preview or now_s - self._recorded_s.get(record.id, 0.0) > RECORDED_S
        if due:
            self._recorded_s[record.id] = now_s
            self._store.progress(record.id, record.stage, record.done, record.total, record.animating_s, record.updated_s)
        self._topics.publish(job_topic(record.id), everywhere=due)
        if preview:
            self._topics.publish(preview_topic(record.id))
