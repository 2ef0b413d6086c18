"""Jobs that one process accepts and another does: an ingress makes nothing itself, and streams what others make."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import BusyError, Cancelled, EngineUnavailable
from core.media.segments import Segment
from core.service.errors import UnknownJob
from core.service.job_inputs import JobInputs
from core.service.job_runner import Running
from core.service.job_store import Admission
from core.service.jobs import Jobs
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.remote_streams import Piece
from core.service.sqlite_store import SqliteJobStore
from core.service.topics import Topics
from core.service.worker_liveness import LockFiles
from tests.support.serving import wait_for

CAPTIONS = {"captions": [[0.0, 1.0, ["Hello."]]]}
SEGMENTS = [Segment(0, "init", b"begin"), Segment(1, "media", b"end", 0.0, 1.0, 25, final=True)]


class Made:
    """In place of a stream of the studio."""

    mime_type, idle_s, begun = "video/mp4", 0.0, True

    def __init__(self) -> None:
        self._segments = iter(SEGMENTS)

    def __next__(self) -> Segment:
        return next(self._segments)

    def close(self, error: Exception | None = None) -> None:
        self._segments = iter(())


class Makers:
    """Asks the processes of the test."""

    def __init__(self) -> None:
        self.processes: dict[str, Jobs] = {}

    def piece(self, job_id: str, worker: str) -> Piece:
        if worker not in self.processes:
            raise BusyError("It is gone.", "", code="restarted")
        stream = self.processes[worker].handle(job_id).result(10)
        return Piece(stream.mime_type, next(stream, None))


@pytest.fixture
def makers() -> Makers:
    return Makers()


@pytest.fixture
def process(tmp_path: Path, makers: Makers) -> Iterator[Callable[..., Jobs]]:
    made: list[Jobs] = []
    outputs = OutputFolder(tmp_path / "outputs", 3600)
    outputs.prepare()

    def begin(work: Callable[[Jobs, Running], dict[str, Any]] | None = None, name: str = "", remote: bool = True) -> Jobs:
        """One that does jobs with `work`, or accepts them for others."""

        def do(running: Running, decoded: Any) -> dict[str, Any]:
            assert work is not None
            return work(jobs, running)

        jobs = Jobs(
            SqliteJobStore(lambda: tmp_path), Topics(None), JobInputs([lambda: tmp_path]), outputs, do, LockFiles(lambda: tmp_path),
            slots=0 if work is None else 1, admission=Admission(5, 5, 10**9), decoded_bytes=0, ttl_s=3600, worker=name,
            makers=makers if work is None and remote else None,
        )  # fmt: skip
        made.append(jobs)
        makers.processes[jobs.worker] = jobs
        jobs.start()
        return jobs

    yield begin
    for jobs in made:
        jobs.close(0.0)


def new(kind: Any = "stream") -> NewJob[Any]:
    return NewJob("ada", kind, {}, {}, None, 0, kept=False)


def streams(jobs: Jobs, running: Running) -> dict[str, Any]:
    jobs.handle(running.record.id).set_result(Made())
    return {}


def test_a_stream_is_made_by_another_process_and_read_here(process: Callable[..., Jobs]) -> None:
    here = process()
    job = here.submit(new())
    stream = here.handle(job.id).result(0)
    there = process(streams, name="maker")
    assert there.worker == "maker"
    assert [segment.data for segment in stream] == [b"begin", b"end"]
    assert (stream.mime_type, stream.begun) == ("video/mp4", True)
    assert here.submit(new()).id != job.id  # each reader has a stream of its own


def test_what_is_known_of_a_running_job_is_known_everywhere(process: Callable[..., Jobs]) -> None:
    noted, go_on = threading.Event(), threading.Event()

    def work(jobs: Jobs, running: Running) -> dict[str, Any]:
        running.note(CAPTIONS)
        noted.set()
        assert go_on.wait(30)
        return {}

    here = process()
    process(work)
    job = here.submit(new("video"))
    try:
        assert noted.wait(10)
        assert here.get(job.id, "ada").captions[0].lines == ("Hello.",)
    finally:
        go_on.set()


def test_a_reader_is_told_why_there_is_no_stream(process: Callable[..., Jobs], makers: Makers) -> None:
    here = process()
    cancelled, lost, left = (here.handle(here.submit(new()).id).result(0) for _ in range(3))
    for job in here.of("ada"):
        if here.handle(job.id).result(0) is cancelled:
            here.cancel(job.id, "ada")
    with pytest.raises((Cancelled, UnknownJob)):
        next(cancelled)
    left.close()
    with pytest.raises(Cancelled):
        next(left)
    there = process(streams)
    wait_for(lambda: here.totals() == {"running": 0, "waiting": 0})
    del makers.processes[there.worker]
    with pytest.raises(BusyError) as gone:
        next(lost)
    assert gone.value.code == "restarted"


def test_a_process_that_makes_nothing_takes_jobs_and_no_streams(process: Callable[..., Jobs]) -> None:
    here = process(remote=False)
    with pytest.raises(EngineUnavailable):
        here.submit(new())
    job = here.submit(new("video"))
    process(lambda jobs, running: {})
    wait_for(lambda: here.get(job.id, "ada").state == "done")
