"""Jobs of the service, with work that the tests control: accepting, watching, cancelling, and the end of a process."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import BusyError, Cancelled, FaceError
from core.generation import Progress
from core.service.datagrams import Datagrams
from core.service.errors import UnknownJob
from core.service.job_inputs import JobInputs
from core.service.job_runner import Running
from core.service.job_store import Admission
from core.service.job_topics import owner_topic
from core.service.jobs import Jobs
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.sqlite_store import SqliteJobStore
from core.service.topics import Topics
from core.service.worker_liveness import LockFiles
from tests.support.serving import wait_for

Doing = Callable[[Running, Any], Mapping[str, Any]]


class Machine:
    """What processes share. `process` begins one more; work: what all of them do with a job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work: Doing = lambda running, decoded: {}
        self.outputs = OutputFolder(root / "outputs", 3600)
        self.outputs.prepare()
        self.processes: list[Jobs] = []

    def folder(self) -> Path:
        folder = self.root / "jobs"
        folder.mkdir(exist_ok=True)
        return folder

    def inputs(self) -> Path:
        folder = self.root / "inputs"
        folder.mkdir(exist_ok=True)
        return folder

    def process(self, started: bool = True, slots: int = 1, **options: Any) -> Jobs:
        jobs = Jobs(
            SqliteJobStore(self.folder),
            Topics(Datagrams(str(self.root))),
            JobInputs([self.inputs]),
            self.outputs,
            lambda running, decoded: self.work(running, decoded),
            LockFiles(self.folder),
            slots=slots,
            admission=Admission(20, 20, 10**9),
            decoded_bytes=1000,
            ttl_s=3600,
            **options,
        )
        self.processes.append(jobs)
        if started:
            jobs.start()
        return jobs


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for jobs in made.processes:
        jobs.close(0.0)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(b"RIFF of the tests")
    return path


def new(n: int = 0, owner: str = "ada", speech: Path | None = None, **values: Any) -> NewJob[Any]:
    return NewJob(owner, "video", {"n": n}, {} if speech is None else {"audio": speech}, None, 0, **values)


def waiting(gate: threading.Event) -> Doing:
    """Work that ends when the gate is opened, or it is cancelled."""

    def work(running: Running, decoded: Any) -> dict[str, Any]:
        running.stop_with(gate.set)
        assert gate.wait(30)
        running.check()
        return {}

    return work


def ended(jobs: Jobs, job_id: str) -> Any:
    wait_for(lambda: jobs.get(job_id, "ada").ended)
    return jobs.get(job_id, "ada")


def test_a_job_has_its_inputs_and_lets_go_of_them_when_it_ends(machine: Machine, speech: Path) -> None:
    seen: list[bytes] = []

    def work(running: Running, decoded: Any) -> dict[str, Any]:
        seen.append(jobs.inputs.path(running.record.id, running.record.request["audio"]).read_bytes())
        running.report(Progress("animating", 5, 10))
        return {"avatar": "token"}

    jobs, machine.work = machine.process(), work
    job = jobs.submit(new(speech=speech))
    speech.unlink()
    assert ended(jobs, job.id).avatar == "token"
    assert seen == [b"RIFF of the tests"]
    wait_for(lambda: list(machine.inputs().iterdir()) == [])


def test_decoded_inputs_are_used_once_within_their_bound_and_not_kept(machine: Machine) -> None:
    class Photo:
        pass

    gate, got = threading.Event(), []

    def work(running: Running, decoded: Any) -> dict[str, Any]:
        got.append(decoded is not None)
        return waiting(gate)(running, decoded)

    jobs, machine.work = machine.process(), work
    photos = [Photo(), Photo(), Photo()]
    kept = [weakref.ref(photo) for photo in photos]
    submitted = [jobs.submit(NewJob("ada", "video", {"n": n}, {}, photo, 600)) for n, photo in enumerate(photos)]
    del photos
    gate.set()
    for job in submitted:
        ended(jobs, job.id)
    gc.collect()
    assert [photo() for photo in kept] == [None, None, None]
    assert got[0]
    assert not all(got)  # 1000 bytes are not enough for two that wait


def test_failures_are_told_as_they_were(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    def work(running: Running, decoded: Any) -> dict[str, Any]:
        if running.record.request["n"]:
            raise FaceError("No face.", "Use another photo.", code="no_face", parameters={"faces": 0})
        raise ZeroDivisionError

    jobs, machine.work = machine.process(), work
    error = ended(jobs, jobs.submit(new(1)).id).error
    assert (type(error), error.message, error.hint, error.code, error.parameters) == (
        FaceError, "No face.", "Use another photo.", "no_face", {"faces": 0},
    )  # fmt: skip
    defect = ended(jobs, jobs.submit(new(0)).id)
    assert (defect.state, type(defect.error).__name__) == ("failed", "InternalError")
    assert "ZeroDivisionError" in caplog.text


def test_a_queued_job_is_cancelled_at_once_and_the_next_moves_up(machine: Machine) -> None:
    gate = threading.Event()
    jobs, machine.work = machine.process(), waiting(gate)
    first, second, third = (jobs.submit(new(n)) for n in range(3))
    wait_for(lambda: jobs.get(first.id, "ada").state == "running")
    assert jobs.get(third.id, "ada").position == 2
    assert jobs.cancel(second.id, "ada").state == "cancelled"
    assert jobs.get(third.id, "ada").position == 1
    jobs.cancel(first.id, "ada")
    assert ended(jobs, first.id).state == "cancelled"


def test_another_owner_cannot_tell_a_job_from_none(machine: Machine) -> None:
    jobs = machine.process()
    job = jobs.submit(new())
    for call in (jobs.get, jobs.cancel, jobs.forget):
        with pytest.raises(UnknownJob):
            call(job.id, "bob")
        with pytest.raises(UnknownJob):
            call("nothing", "ada")


def test_a_watcher_in_another_process_is_told_without_asking(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.service.job_watch.LOOK_S", 1000.0)
    gate = threading.Event()
    jobs, other = machine.process(), machine.process(started=False)
    machine.work = waiting(gate)
    job = jobs.submit(new())

    async def watch() -> list[str]:
        states = []
        async for view in other.watch(job.id, "ada"):
            states.append(view.state)
            if view.state == "running":
                gate.set()
        return states

    states = asyncio.run(asyncio.wait_for(watch(), 30))
    assert states[-2:] == ["running", "done"]


def test_any_process_cancels_and_any_process_works(machine: Machine) -> None:
    gate = threading.Event()
    jobs, other = machine.process(), machine.process(started=False)
    machine.work = waiting(gate)
    job = other.submit(new())  # of a process that does no work itself
    wait_for(lambda: other.get(job.id, "ada").state == "running")
    other.cancel(job.id, "ada")
    assert ended(jobs, job.id).state == "cancelled"


def test_owners_are_told_of_changes(machine: Machine) -> None:
    jobs, told = machine.process(), threading.Event()
    end = jobs.topics.subscribe(owner_topic("ada"), told.set)
    jobs.submit(new(owner="bob"))
    assert not told.wait(0.2)
    jobs.submit(new())
    assert told.wait(10)
    end()


def test_who_ends_leaves_its_jobs_to_the_next(machine: Machine) -> None:
    gate = threading.Event()
    jobs, machine.work = machine.process(), waiting(gate)
    kept, lost, later = jobs.submit(new(1)), jobs.submit(new(2, kept=False)), jobs.submit(new(3))
    wait_for(lambda: jobs.get(kept.id, "ada").state == "running")

    async def watch() -> None:
        async for _ in jobs.watch(later.id, "ada"):
            pass

    async def closing() -> None:
        watching = asyncio.ensure_future(watch())
        await asyncio.sleep(0.05)
        await asyncio.to_thread(jobs.close, 0.0)
        with pytest.raises(BusyError, match="stopping"):
            await watching

    asyncio.run(closing())
    machine.work = lambda running, decoded: {}
    after = machine.process()
    assert ended(after, kept.id).state == "done"
    assert ended(after, later.id).state == "done"
    assert ended(after, lost.id).state == "done"  # it was not begun, so nothing of it was lost


def test_what_ends_in_the_grace_is_told_as_ended(machine: Machine) -> None:
    """However late the watcher gets to look: the store waits for it."""
    gate = threading.Event()
    jobs, machine.work = machine.process(), waiting(gate)
    job = jobs.submit(new(1))
    get, looks = jobs.get, threading.Semaphore(1)

    def slow_get(job_id: str, owner: str) -> Any:
        assert looks.acquire(timeout=30)
        return get(job_id, owner)

    async def closing() -> None:
        watching = asyncio.ensure_future(jobs.ended(job.id, "ada"))
        while jobs.get(job.id, "ada").state != "running":
            await asyncio.sleep(0.01)
        jobs._watch._get = slow_get
        end = asyncio.ensure_future(asyncio.to_thread(jobs.close, 30.0))
        while not jobs.stopping:
            await asyncio.sleep(0.01)
        gate.set()
        while not jobs._watch._stopped:
            await asyncio.sleep(0.01)
        for _ in range(100):
            looks.release()
        assert (await watching).state == "done"
        await end

    asyncio.run(closing())
    with pytest.raises(BusyError, match="stopping"):
        get(job.id, "ada")
    with pytest.raises(BusyError, match="stopping"):
        jobs.submit(new(2))


def test_a_stream_that_waits_is_told_that_the_service_stops(machine: Machine) -> None:
    gate = threading.Event()
    jobs, machine.work = machine.process(), waiting(gate)
    jobs.submit(new(1))
    stream = jobs.submit(NewJob("ada", "stream", {}, {}, None, 0, kept=False))
    handle = jobs.handle(stream.id)
    jobs.stop(0.0)
    error = handle.exception(timeout=0)
    assert isinstance(error, BusyError)
    assert error.code == "stopping"
    assert jobs.get(stream.id, "ada").state == "failed"
    with pytest.raises(BusyError, match="stopping"):
        jobs.submit(NewJob("ada", "stream", {}, {}, None, 0, kept=False))


def test_what_is_forgotten_takes_its_file_along(machine: Machine) -> None:
    def work(running: Running, decoded: Any) -> dict[str, Any]:
        Path(running.record.output).write_bytes(b"video")
        return {}

    jobs, machine.work = machine.process(), work
    job = jobs.submit(new(output=machine.outputs.new_video("visitor:a")))
    video = ended(jobs, job.id).video
    assert video.is_file()
    assert jobs.forget(job.id, "ada") == 5
    assert not video.parent.exists()
    with pytest.raises(UnknownJob):
        jobs.get(job.id, "ada")


def test_a_job_never_outlives_its_file(machine: Machine) -> None:
    def work(running: Running, decoded: Any) -> dict[str, Any]:
        Path(running.record.output).write_bytes(b"video")
        return {}

    jobs, machine.work = machine.process(), work
    job = jobs.submit(new(output=machine.outputs.new_video("visitor:a")))
    machine.outputs.discard(ended(jobs, job.id).video)
    with pytest.raises(UnknownJob):
        jobs.get(job.id, "ada")
    assert jobs.of("ada") == []


def test_what_was_cancelled_leaves_no_file(machine: Machine) -> None:
    def work(running: Running, decoded: Any) -> dict[str, Any]:
        Path(running.record.output).with_suffix(".part").write_bytes(b"half")
        raise Cancelled("The job was cancelled.")

    jobs, machine.work = machine.process(), work
    job = jobs.submit(new(output=machine.outputs.new_video("visitor:a")))
    assert ended(jobs, job.id).state == "cancelled"
    wait_for(lambda: list(machine.outputs.root.iterdir()) == [])


@pytest.mark.parametrize("job_id", ["", "\0", "\ud800", "a b", "../../x", "x" * 101])
def test_a_name_that_is_no_jobs_reaches_no_store(machine: Machine, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = machine.process()
    monkeypatch.setattr(SqliteJobStore, "get", lambda store, job_id: pytest.fail("the store was asked"))
    with pytest.raises(UnknownJob):
        jobs.get(job_id, "ada")


def test_a_process_ends_in_good_order_while_the_store_is_away(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(store: SqliteJobStore, worker: str) -> list[Any]:
        raise BusyError("The database of jobs does not answer.", "", code="jobs_away")

    jobs = machine.process(started=False)
    job = jobs.submit(new())
    monkeypatch.setattr(SqliteJobStore, "requeue", away)
    jobs.stop(0.0, 0.0)

    async def watched() -> None:
        async for _ in jobs.watch(job.id, "ada"):
            pass

    with pytest.raises(BusyError, match="is stopping"):
        asyncio.run(asyncio.wait_for(watched(), 10))
