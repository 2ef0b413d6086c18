"""A process that stood still (paused, suspended with its machine) and goes on after others took it for dead and did its jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import EngineUnavailable
from core.service.job_inputs import JobInputs
from core.service.job_runner import Running
from core.service.job_store import Admission
from core.service.jobs import Jobs
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.sqlite_store import SqliteJobStore
from core.service.topics import Topics
from tests.support.serving import wait_for


class TakenForDead:
    """Of processes of which all others are thought to be dead."""

    def __init__(self, dead: bool) -> None:
        self._dead = dead

    def announce(self, worker: str, slots: int) -> None:
        pass

    def slots(self) -> int:
        return 1

    def is_dead(self, worker: str) -> bool:
        return self._dead

    def withdraw(self) -> None:
        pass


class Process:
    """With a folder that another one shares. It writes its name as the video once it may, or fails."""

    def __init__(self, name: str, folder: Path, sees_others_as_dead: bool) -> None:
        self.name, self.begun, self.goes_on, self.fails = name, threading.Event(), threading.Event(), False
        self.ended: list[str] = []
        (folder / "inputs").mkdir(exist_ok=True)
        self.outputs = OutputFolder(folder / "outputs", 3600)
        self.outputs.prepare()
        self.jobs = Jobs(
            SqliteJobStore(lambda: folder), Topics(None), JobInputs([lambda: folder / "inputs"]), self.outputs, self._work,
            TakenForDead(sees_others_as_dead), slots=1, admission=Admission(9, 9, 10**9), decoded_bytes=0, ttl_s=3600,
            on_end=lambda record: self.ended.append(record.state),
        )  # fmt: skip

    def _work(self, running: Running, decoded: Any) -> Mapping[str, Any]:
        self.begun.set()
        assert self.goes_on.wait(20)
        if self.fails:
            raise EngineUnavailable("The device is gone.", "Start again.")
        assert self.jobs.inputs.path(running.record.id, running.record.request["audio"]).read_bytes() == b"speech"
        Path(running.record.output).write_text(self.name)
        return {"avatar": self.name}


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    both = Process("paused", tmp_path, False), Process("other", tmp_path, True)
    yield both
    for one in both:
        one.goes_on.set()
        one.jobs.close(0.0, 1.0)


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("before", [True, False], ids=["before the other is done", "after it"])
def test_its_end_does_not_count_once_others_have_begun_anew(
    processes: tuple[Process, Process], tmp_path: Path, fails: bool, before: bool
) -> None:
    """What it made or could not make changes nothing of what the other makes: neither state, nor files."""
    paused, other = processes
    paused.fails = fails
    (tmp_path / "speech").write_bytes(b"speech")
    new = NewJob("ada", "video", {}, {"audio": tmp_path / "speech"}, None, 0, paused.outputs.new_video("ada"))
    paused.jobs.start()
    job = paused.jobs.submit(new).id
    assert paused.begun.wait(10)
    other.jobs.start()
    assert other.begun.wait(10)
    first, last = (paused, other) if before else (other, paused)
    first.goes_on.set()
    wait_for(lambda: other.jobs.get(job, "ada").state == "done" if first is other else not paused.jobs._runner._running)
    assert other.jobs.get(job, "ada").state == ("running" if before else "done")
    last.goes_on.set()
    wait_for(lambda: other.jobs.get(job, "ada").state == "done" and not paused.jobs._runner._running)
    assert other.jobs.get(job, "ada").avatar == "other"
    video = other.jobs.with_files(job, "ada").video
    assert video is not None
    assert video.is_file()
    assert (paused.ended, other.ended) == ([], ["done"])
