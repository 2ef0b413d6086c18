"""The jobs of all owners: accepted, watched, cancelled, and kept until they are too old. Used by pages, server and streams alike.

What was accepted is finished, or fails with a reason, whatever happens to the process: a job is recorded with its inputs before anything is
computed. Every process that shares the store knows every job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from core.errors import BusyError, Cancelled, EngineUnavailable
from core.service.errors import MadeRoom, UnknownJob, stopping
from core.service.job_handles import JobHandles
from core.service.job_inputs import DecodedInputs, JobInputs
from core.service.job_retries import when_files_answer
from core.service.job_runner import JobRunner, Running
from core.service.job_store import Admission, JobKind, JobRecord, JobState, JobStore
from core.service.job_topics import QUEUE, cancel_topic, job_topic, owner_topic
from core.service.job_upkeep import JobUpkeep, unwanted
from core.service.job_views import PROLONGED, JobView, view_of
from core.service.job_watch import JobWatch
from core.service.leases import made_room
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.remote_streams import RemoteStream, StreamMakers
from core.service.topics import Topics
from core.service.worker_liveness import WorkerLiveness

logger = logging.getLogger(__name__)

_ID = re.compile(r"[\w-]{1,100}", re.ASCII)
LAST_LOOK_S = 2.0
"""How long the store stays open for those who watch, so that they read the last state of their job."""


class Jobs:
    """store, topics, inputs, outputs: shared by all processes of the service. work: does one job, with its decoded inputs where they are
    kept. admission: how much may wait beside what can run. ttl_s: how long an ended job is kept. on_end, resting, worker: as
    in JobRunner. makers: of streams, where other processes make them; None: this one does. Thread-safe.
    """

    def __init__(
        self,
        store: JobStore,
        topics: Topics,
        inputs: JobInputs,
        outputs: OutputFolder,
        work: Callable[[Running, Any], Mapping[str, Any]],
        liveness: WorkerLiveness,
        *,
        slots: int,
        admission: Admission,
        decoded_bytes: int,
        ttl_s: float,
        on_end: Callable[[JobRecord], None] = lambda record: None,
        resting: Callable[[], int] = lambda: 0,
        worker: str = "",
        makers: StreamMakers | None = None,
    ) -> None:
        self.topics, self.inputs = topics, inputs
        self._store, self._outputs, self._admission = store, outputs, admission
        self._liveness = liveness
        self._decoded = DecodedInputs(decoded_bytes)
        self._handles = JobHandles()
        self._told_end = on_end
        self._stopping = self._closed = False
        self._slots, self._makers = slots, makers
        self._watch = JobWatch(store, topics, self.get)
        self._upkeep = JobUpkeep(store, topics, inputs, outputs, self._decoded, self._handles, ttl_s)

        def do(running: Running) -> Mapping[str, Any]:
            record = running.record
            if record.kind == "stream":
                self._handles.open(record.id)
            with made_room(Path(record.output).parent) if record.output else contextlib.nullcontext():
                decoded = [self._decoded.take(record.id)]
                if record.kind == "stream":  # its client may have had pieces: it is not begun again
                    result = work(running, decoded.pop())
                else:
                    result = when_files_answer(running, lambda: work(running, decoded.pop() if decoded else None))
                if record.output:
                    when_files_answer(running, lambda: outputs.share(Path(record.output)))
            return result

        self._runner = JobRunner(store, topics, do, slots, liveness, self._on_end, resting, worker)

    @property
    def worker(self) -> str:
        return self._runner.worker

    @property
    def problem(self) -> str:
        """Why jobs do not outlive this process now; "" where they do."""
        return self._store.problem

    @property
    def slots(self) -> int:
        """Jobs that are done at the same time by all processes that share the store and are known to live."""
        return self._liveness.slots()

    def start(self) -> None:
        """Begins to work, first on what another process left behind."""
        self.sweep()
        self._runner.start()

    @property
    def stopping(self) -> bool:
        return self._stopping

    def stop(self, grace_s: float = 5.0, timeout_s: float = 5.0) -> None:
        """Takes no more jobs. Running ones have `grace_s` to end; then they, and those that wait, are left to the next process. Whoever
        watches one is told. Jobs can still be looked at. Does nothing the second time.
        """
        if self._stopping:
            return
        self._stopping = True
        self._runner.close(grace_s, timeout_s)
        self._handles.fail_all(stopping())
        self._watch.stop()

    def close(self, grace_s: float = 5.0, timeout_s: float = 5.0) -> None:
        """Stops where that was not done, lets those who watch read the last state, and lets go of the store."""
        if self._closed:
            return
        self.stop(grace_s, timeout_s)
        self._watch.wait_for_readers(LAST_LOOK_S)
        self._closed = True
        self.topics.close()
        self._store.close()

    # ---- accepting

    def check_room(self, owner: str, input_bytes: int = 0) -> None:
        """Raises BusyError where a job would not be accepted now: asked before anything is read for it."""
        if self._stopping:
            raise stopping()
        self._store.check_room(owner, self._admission.beside(self._liveness.slots()), input_bytes)

    def submit(self, new: NewJob[Any]) -> JobView:
        """Records the job; when this returns, it is accepted. Where it is the same as one that is under way, or has its idempotency key, it
        is that one. Raises BusyError, KeyReused, OutputError, InputError; nothing is left behind then.
        """
        job_id = secrets.token_urlsafe(16)
        if new.kind == "stream" and self._makers is None and not self._slots:
            raise EngineUnavailable("This server makes no videos itself, and streams none of others.", "Ask for a file.", code="no_streams")
        pinned_to = "" if self._makers is not None else self.worker
        record = new.record(job_id, self.inputs.take(job_id, {} if new.done is not None else new.files), pinned_to)
        if new.done is None:
            self._decoded.keep(job_id, new.decoded, new.decoded_bytes)
            if new.kind == "stream":
                handle = self._handles.open(job_id)
                if self._makers is not None:
                    handle.set_result(RemoteStream(job_id, self._makers, lambda left: self._watch.worker_of(job_id, left)))
        try:
            if self._stopping:
                raise stopping()
            if new.done is not None and new.output is not None:
                self._outputs.share(new.output)
            admission = self._admission.beside(self._liveness.slots())
            accepted = self._store.add(record, admission)
            if accepted.id != job_id and self._upkeep.lost(accepted):  # done under the same key, and its video made room meanwhile
                self._upkeep.remove([accepted])
                accepted = self._store.add(record, admission)
        except BaseException:
            self._let_go(record)
            raise
        if accepted.id != job_id:  # another job does the same
            self._let_go(record)
        elif accepted.ended:
            self._on_end(accepted)
        self.topics.publish(QUEUE)
        self.topics.publish(owner_topic(new.owner))
        return self._view(accepted)

    def handle(self, job_id: str) -> Future[Any]:
        """What a job of this process hands out: of a stream, its pieces, from its first step on. Raises UnknownJob."""
        return self._handles.get(job_id)

    # ---- looking

    def get(self, job_id: str, owner: str) -> JobView:
        """Raises UnknownJob, in the same words for another's job and for none (MadeRoom where its video had to make room), and BusyError
        where the service is closed.
        """
        if self._closed:
            raise stopping()
        if not _ID.fullmatch(job_id):  # what no store may be asked for, such as a NUL
            raise UnknownJob
        record = self._store.get(job_id)
        running = self._runner.running(job_id)
        if record is not None and record.state == "running" and running is not None:
            record = running.record  # its latest progress; the state is the store's alone, so it never goes back
        if record is None or record.owner != owner:
            raise self._upkeep.unknown(job_id, owner)
        if self._upkeep.lost(record):
            raise self._upkeep.lost_its_video(record)
        return self._view(record)

    def with_files(self, job_id: str, owner: str) -> JobView:
        """As `get`; the files of one that is done are on this machine now. Raises UnknownJob also where they are gone for good, BusyError
        where they are in the shared store, and that is away.
        """
        view = self.get(job_id, owner)
        if view.video is not None and not self._outputs.bring(view.video):
            self._upkeep.forget(job_id, owner)
            raise MadeRoom if self._outputs.shared is None else UnknownJob
        if view.visemes is not None:
            self._outputs.bring(view.visemes)
        return view

    def of(self, owner: str, states: tuple[JobState, ...] = (), kinds: tuple[JobKind, ...] = ()) -> list[JobView]:
        """The owner's, the newest first. Videos whose file is gone are left out."""
        views = [self._view(record) for record in self._store.find(owner, states, kinds)]
        return [view for view in views if view.video is None or self._outputs.may_be_had(view.video)]

    def watch(self, job_id: str, owner: str) -> AsyncIterator[JobView]:
        """The job now, then at each change; the last is that of its end.

        Raises UnknownJob, also when it is forgotten meanwhile, and BusyError where the service stops before its end.
        """
        return self._watch.watch(job_id, owner)

    async def ended(self, job_id: str, owner: str) -> JobView:
        """Waits for its end, however it ends. Raises UnknownJob where it is forgotten meanwhile."""
        async for view in self.watch(job_id, owner):
            if view.ended:
                return view
        raise UnknownJob

    # ---- ending

    def cancel(self, job_id: str, owner: str) -> JobView:
        """At once where it is queued: its place is free then. A running one is asked to stop. Raises UnknownJob."""
        self.get(job_id, owner)
        state = self._store.cancel(job_id, time.time())
        self.topics.publish(cancel_topic(job_id))
        record = self._store.get(job_id)
        if record is None:
            raise UnknownJob
        if state == "cancelled":
            self._on_end(record)
            self.topics.publish(job_topic(job_id))
        self.topics.publish(QUEUE)
        self.topics.publish(owner_topic(owner))
        return self._view(record)

    def forget(self, job_id: str, owner: str) -> int:
        """Cancels it; one that has ended is forgotten with its file. Bytes freed. Raises UnknownJob."""
        view = self.cancel(job_id, owner)
        freed = view.video.stat().st_size if view.video is not None and view.video.is_file() else 0
        if view.ended:
            self._upkeep.forget(job_id, owner)
        return freed

    def note(self, job_id: str, owner: str, notes: Mapping[str, Any]) -> None:
        """Puts values into the result of a job that is done. Raises UnknownJob."""
        self.get(job_id, owner)
        self._store.note(job_id, notes, time.time())
        self.topics.publish(owner_topic(owner))

    def prolong(self, job_id: str, owner: str) -> None:
        """The time to live of a job that is done, and of its video, begins anew. Raises UnknownJob."""
        view = self.get(job_id, owner)
        if view.video is not None:
            self._outputs.renew(view.video)
        self.note(job_id, owner, {PROLONGED: time.time()})

    def keep(self, job_id: str) -> None:
        """Makes it go on when nobody waits for it."""
        self._store.keep(job_id)

    def abandon(self, job_id: str, owner: str) -> None:
        """Whoever waited for it is gone: it is stopped and forgotten, unless it is kept, or the service is closed."""
        with contextlib.suppress(UnknownJob, BusyError):
            if not self.get(job_id, owner).kept:
                self.forget(job_id, owner)

    async def abandon_on_thread(self, job_id: str, owner: str) -> None:
        """`abandon`, for event loops: a store that is away must not hold one up. It is done even where the caller is cancelled."""
        await asyncio.shield(asyncio.to_thread(self.abandon, job_id, owner))

    def sweep(self) -> None:
        """Forgets what ended long ago, what lost its file, and the oldest of an owner who has too many; and files that belong to no job."""
        self._upkeep.sweep()

    def make_room(self) -> None:
        """Removes the oldest videos beyond the limit of bytes, and the jobs that made them where no other machine has the videos."""
        self._upkeep.make_room()

    def job_rests(self) -> None:
        """As in JobRunner."""
        self._runner.job_rests()

    def any_wait(self) -> bool:
        """Whether jobs are known to wait for a place."""
        try:
            return self._store.totals().queued > 0
        except BusyError:  # the store is away
            return False

    def waiting(self) -> list[str]:
        """The ids of jobs that wait for a place anywhere. Raises BusyError while the store is away."""
        return self._store.waiting()

    def totals(self) -> dict[str, int]:
        totals = self._store.totals()
        return {"running": totals.running, "waiting": totals.queued}

    # ---- within

    def _view(self, record: JobRecord) -> JobView:
        return view_of(record, self._store.position(record.id) if record.state == "queued" else 0)

    def _on_end(self, record: JobRecord) -> None:
        """On the thread that ended it: nothing of its inputs is left, in memory or on the disk."""
        self._decoded.take(record.id)
        self.inputs.discard(record.id)
        self._handles.fail(record.id, view_of(record, 0).error or Cancelled("The job was cancelled.", code="cancelled"))
        if record.state != "done" and record.output:
            self._outputs.discard(Path(record.output))
        self._told_end(record)
        try:
            now = self._store.get(record.id)
            if now is None or unwanted(now):
                self._upkeep.remove([record])
            if record.state == "done" and record.output:
                self._upkeep.make_room()
        except BusyError as error:  # the store went away since the end was recorded: `sweep` makes up for it
            logger.warning("of a job that has ended not all was tidied up: %s", error)

    def _let_go(self, record: JobRecord) -> None:
        """Of a job that was not accepted. What the shared store has of it goes with the next look (`forget_all_but`)."""
        self._decoded.take(record.id)
        self._handles.close(record.id)
        self.inputs.discard(record.id)
        if record.output:
            self._outputs.discard(Path(record.output))
