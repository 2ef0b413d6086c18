"""The service while its store of jobs is away, as a database of another machine may be."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import BusyError
from core.service.errors import UnknownJob
from core.service.job_inputs import JobInputs
from core.service.job_store import Admission, JobRecord
from core.service.job_topics import CLOSING, owner_topic
from core.service.jobs import Jobs
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.service import Service
from core.service.sqlite_store import SqliteJobStore
from core.service.topics import Topics
from core.service.worker_liveness import LockFiles


class Away(SqliteJobStore):
    """A store that is away when the process stops."""

    def requeue(self, worker: str) -> list[JobRecord]:
        raise BusyError("The database of jobs does not answer.", "", code="jobs_away")


class AwayAfterAnEnd(SqliteJobStore):
    """A store that is away from the moment on in which the end of a job is recorded, until it is `back`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: folder)
        self.back = threading.Event()
        self._ended = False

    def finish(self, *end: Any) -> bool:
        super().finish(*end)
        self._ended = True
        return True

    def get(self, job_id: str) -> JobRecord | None:
        if self._ended and not self.back.is_set():
            raise BusyError("The database of jobs does not answer.", "", code="jobs_away")
        return super().get(job_id)


@pytest.mark.parametrize("left", [False, True])
def test_an_end_is_told_though_the_store_goes_away_right_after_it(tmp_path: Path, left: bool) -> None:
    """left: whoever waited for the job is gone; then it is forgotten, as soon as the store is back."""
    store, goes_on, running, counted = AwayAfterAnEnd(tmp_path), threading.Event(), threading.Event(), list[str]()

    def work(about: Any, decoded: Any) -> dict[str, Any]:
        running.set()
        assert goes_on.wait(10)
        return {}

    outputs = OutputFolder(tmp_path / "outputs", 3600)
    outputs.prepare()
    (tmp_path / "inputs").mkdir()
    jobs = Jobs(
        store, Topics(None), JobInputs([lambda: tmp_path / "inputs"]), outputs, work, LockFiles(lambda: tmp_path), slots=1,
        admission=Admission(20, 20, 10**9), decoded_bytes=1000, ttl_s=3600, on_end=lambda record: counted.append(record.state),
    )  # fmt: skip
    jobs.start()
    try:
        recording = tmp_path / "recording"
        recording.write_bytes(b"speech")
        job = jobs.submit(NewJob("ada", "video", {}, {"audio": recording}, None, 0, kept=False)).id
        assert running.wait(10)
        if left:
            store.cancel(job, 0.0)  # as another process does it
        told = threading.Event()
        jobs.topics.subscribe(owner_topic("ada"), told.set)
        goes_on.set()
        assert told.wait(10), "whoever watches the owner's jobs looks again"
        assert counted == ["done"]
        assert not list((tmp_path / "inputs").iterdir())
        store.back.set()
        jobs.sweep()
        if left:
            with pytest.raises(UnknownJob):
                jobs.get(job, "ada")
        else:
            assert jobs.get(job, "ada").state == "done"
    finally:
        goes_on.set()
        jobs.close(0.0, 1.0)


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    outputs = OutputFolder(tmp_path / "outputs", 3600)
    outputs.prepare()
    made = Jobs(
        Away(lambda: tmp_path), Topics(None), JobInputs([lambda: tmp_path]), outputs, lambda running, decoded: {},
        LockFiles(lambda: tmp_path), slots=1, admission=Admission(20, 20, 10**9), decoded_bytes=1000, ttl_s=3600,
    )  # fmt: skip
    made.start()
    return made


def test_a_store_that_is_away_keeps_nobody_waiting_at_the_end(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    withdrawn = threading.Event()
    monkeypatch.setattr(LockFiles, "withdraw", lambda locks: withdrawn.set())
    told = threading.Event()
    jobs.topics.subscribe(CLOSING, told.set)
    jobs.stop(0.0, 0.1)
    assert withdrawn.is_set(), "others are told that this process has ended"
    assert told.is_set(), "whoever watches a job is told, too"
    jobs.close()


def test_a_job_is_abandoned_beside_the_event_loop(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    on: list[str] = []
    monkeypatch.setattr(jobs, "abandon", lambda job_id, owner: on.append(threading.current_thread().name))
    asyncio.run(jobs.abandon_on_thread("a", "ada"))
    assert on != [threading.current_thread().name]
    jobs.close(0.0, 0.1)


def test_what_is_old_is_still_removed_after_the_store_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.service.service.SWEEP_S", 0.001)
    ending, swept = threading.Event(), []

    def sweep() -> None:
        swept.append(len(swept))
        if len(swept) == 1:
            raise BusyError("The database of jobs does not answer.", "", code="jobs_away")
        if len(swept) == 2:
            raise OSError("a defect")
        ending.set()

    service: Any = SimpleNamespace(_ending=ending, jobs=SimpleNamespace(sweep=sweep), _photos=SimpleNamespace(sweep=lambda: None))
    Service._sweep(service)
    assert swept == [0, 1, 2]


def test_the_queue_is_told_while_the_store_is_away() -> None:
    answers: list[Any] = [{"running": 1, "waiting": 2}, BusyError("The database of jobs does not answer.", "", code="jobs_away")]

    def totals() -> dict[str, int]:
        answer = answers.pop(0)
        if isinstance(answer, BusyError):
            raise answer
        return answer

    settings = SimpleNamespace(max_jobs=1, max_queue=4)
    service: Any = SimpleNamespace(jobs=SimpleNamespace(totals=totals, slots=3), settings=settings, _totals={"running": 0, "waiting": 0})
    assert Service.queue(service) == Service.queue(service) == {"running": 1, "waiting": 2, "max_jobs": 1, "slots": 3, "max_queue": 4}
