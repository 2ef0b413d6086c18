"""Files of jobs in a bucket that machines without a common folder share, and what becomes of them while it is away or slow."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import BusyError, EngineUnavailable, OutputError
from core.optimization.shared_folder import SharedFolder
from core.service.errors import UnknownJob
from core.service.owners import COOKIE, COOKIE_BYTES, owner_of
from core.web.guards.visitor_files import FileSentences, VisitorFiles
from tests.support.databases import PostgresServer
from tests.support.s3 import BUCKET, CREDENTIALS, S3Server, Way, way_to
from tests.support.serving import wait_for
from tests.support.shared_machines import TEN_MIB, Machine

pytestmark = pytest.mark.slow

Make = Callable[..., Machine]


@pytest.fixture
def way(s3: S3Server) -> Iterator[Way]:
    with way_to(s3) as way:
        yield way


@pytest.fixture
def machine(tmp_path: Path, postgres: PostgresServer, way: Way) -> Iterator[Make]:
    """slots: 0 for one that takes no jobs."""
    made: list[Machine] = []

    def make(slots: int = 1) -> Machine:
        made.append(Machine(tmp_path / f"machine{len(made)}", postgres, way.url, slots))
        return made[-1]

    yield make
    for one in made:
        one.works.set()
        one.jobs.close(0.0, 5.0)


def kept(s3: S3Server) -> list[str]:
    """What is in the bucket."""
    text = httpx.get(f"{s3.url}/{BUCKET}", trust_env=False).text
    return sorted(part.partition("</Key>")[0] for part in text.split("<Key>")[1:])


def test_what_one_machine_was_sent_another_does_and_both_have_the_result(machine: Make, s3: S3Server) -> None:
    here, there = machine(slots=0), machine()
    data = bytes(range(256)) * (TEN_MIB // 256)
    job = here.send(data)
    wait_for(lambda: here.state(job) == "done")
    assert here.jobs.get(job, "ada").avatar == "machine1"
    assert here.result(job) == there.result(job) == data[::-1]
    assert [key.rpartition("/")[2] for key in kept(s3)] == ["talking-head.mp4"]  # no inputs, no preview
    assert kept(s3)[0].startswith("some/where/outputs/")
    with pytest.raises(UnknownJob):
        there.jobs.with_files(job, "bob")
    assert not list(there.folder.rglob("*.part"))


def test_a_stream_that_one_machine_has_made_is_had_on_another(machine: Make, s3: S3Server) -> None:
    here, there = machine(), machine(slots=0)
    job = here.send(b"of a stream", kind="stream")
    wait_for(lambda: there.state(job) == "done")
    assert not list(there.outputs.root.rglob("*.mp4"))
    assert there.result(job) == b"of a stream"[::-1]
    there.jobs.forget(job, "ada")
    assert kept(s3) == []


def test_what_is_forgotten_on_one_machine_is_gone_everywhere(machine: Make, s3: S3Server) -> None:
    here, there = machine(), machine(slots=0)
    job = here.send(b"of ada")
    wait_for(lambda: here.state(job) == "done")
    assert there.result(job) == b"ada fo"
    there.jobs.forget(job, "ada")
    assert kept(s3) == []
    with pytest.raises(UnknownJob):
        here.jobs.with_files(job, "ada")


def test_a_job_is_cancelled_from_another_machine_and_leaves_nothing(machine: Make, s3: S3Server) -> None:
    here, there = machine(slots=0), machine()
    there.works.clear()
    job = here.send(b"never made")
    wait_for(lambda: here.state(job) == "running")
    here.jobs.cancel(job, "ada")
    there.jobs._runner.running(job).cancel()  # type: ignore[union-attr]  # what Redis' news do
    there.works.set()
    wait_for(lambda: here.state(job) == "cancelled")
    wait_for(lambda: kept(s3) == [])


def test_room_made_on_one_machine_takes_nothing_from_the_others(machine: Make) -> None:
    here = machine()
    jobs = [here.send(bytes([n]) * 1000) for n in range(3)]
    wait_for(lambda: all(here.state(job) == "done" for job in jobs))
    here.outputs.limit_bytes = 1
    here.jobs.make_room()
    assert [len(here.result(job)) for job in jobs] == [1000] * 3


def test_the_page_of_one_machine_shows_its_visitor_what_another_made(machine: Make) -> None:
    here, there = machine(slots=0), machine()
    cookies = [f"{COOKIE}={digit * 2 * COOKIE_BYTES}" for digit in "12"]
    owner = owner_of({"cookie": cookies[0]}, "")
    job = here.send(b"for the page", owner)
    wait_for(lambda: here.jobs.get(job, owner).state == "done")
    video = here.jobs.get(job, owner).video
    assert video is not None
    answers: list[tuple[int, bool]] = []

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append((message["status"], video.is_file()))

    guard = VisitorFiles(served, here.outputs, (), FileSentences("", ""))
    for cookie in reversed(cookies):
        headers = [(b"cookie", cookie.encode())]
        scope = {"type": "http", "method": "GET", "path": f"/gradio_api/file={video}", "headers": headers, "scheme": "http"}
        asyncio.run(guard(scope, receive, send))
    assert answers == [(403, False), (200, True)]
    assert video.read_bytes() == b"for the page"[::-1]
    assert there.outputs.root != here.outputs.root


def test_a_store_that_is_away_loses_nothing_and_is_said(machine: Make, way: Way) -> None:
    one = machine()
    one.works.clear()
    accepted = [one.send(b"first"), one.send(b"second")]
    wait_for(lambda: one.state(accepted[0]) == "running")
    way.cut()
    one.works.set()  # it ends while the store is away
    with pytest.raises(BusyError) as refused:
        one.send(b"third")
    assert refused.value.code == "files_away"
    assert one.files.problem == "The shared store of files does not answer."
    time.sleep(20)
    assert one.state(accepted[0]) == "running"
    way.mend()
    wait_for(lambda: all(one.state(job) == "done" for job in accepted), 60)
    assert [one.result(job) for job in accepted] == [b"tsrif", b"dnoces"]
    assert one.files.problem == ""


def test_inputs_that_another_server_takes_and_this_one_does_not_are_refused_with_a_reason(machine: Make) -> None:
    here, there = machine(slots=0), machine()
    there.inputs._shared = SharedFolder(there.files, "inputs", 3)
    job = here.send(b"more")
    wait_for(lambda: here.state(job) == "failed")
    error = here.jobs.get(job, "ada").error
    assert isinstance(error, EngineUnavailable)
    assert (error.code, error.parameters) == ("shared_file_large", {"nbytes": 4, "most": 3})
    assert "alike on all servers" in error.hint


def test_inputs_that_cannot_be_fetched_are_waited_for(machine: Make, way: Way) -> None:
    here, there = machine(slots=0), machine(slots=1)
    there.works.clear()
    job = here.send(b"sent to the first")
    wait_for(lambda: here.state(job) == "running")
    way.cut()
    there.works.set()
    time.sleep(3)
    way.mend()
    wait_for(lambda: here.state(job) == "done", 60)
    assert here.result(job) == b"sent to the first"[::-1]


def test_a_slow_store_takes_its_time(machine: Make, way: Way) -> None:
    way.delay_s = 0.4
    here, there = machine(slots=0), machine()
    job = here.send(b"slowly")
    wait_for(lambda: here.state(job) == "done", 90)
    assert here.result(job) == there.result(job) == b"ylwols"


def test_a_store_that_is_too_slow_for_its_parts_is_given_longer(
    machine: Make, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as it answers otherwise, and until it is quick again; one that does not answer is away, as soon as ever."""
    from core.service.shared import s3_files

    monkeypatch.setattr(s3_files, "PART_S", 0.5)
    one = machine(slots=0)
    folder = SharedFolder(one.files, "outputs", 2 * TEN_MIB)
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * (TEN_MIB // 256))
    way.delay_s = 0.02  # before each 64 KiB: 8 MiB take more than two and a half seconds
    folder.push("a/b", large)
    way.delay_s, way.late_s = 0.0, 0.7
    assert folder.fetch("a/b", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == large.read_bytes()
    way.late_s = 0.0
    wait_for(lambda: folder.fetch("a/b", tmp_path / "got", anew=True) and "store of files is quicker" in caplog.text, 60)
    way.cut()
    try:
        with pytest.raises(BusyError):
            folder.push("a/c", large)
    finally:
        way.mend()


def test_two_who_fetch_the_same_file_find_all_of_it(machine: Make, s3: S3Server) -> None:
    here, there = machine(), machine(slots=0)
    data = bytes(TEN_MIB)
    job = here.send(data)
    wait_for(lambda: here.state(job) == "done", 60)
    found: list[bytes] = []
    readers = [threading.Thread(target=lambda: found.append(there.result(job))) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert [hashlib.sha256(each).digest() for each in found] == [hashlib.sha256(data).digest()] * 4


def test_names_that_are_none_of_ours_reach_nothing(machine: Make, tmp_path: Path) -> None:
    one = machine(slots=0)
    folder = SharedFolder(one.files, "outputs", 100)
    folder.push("a/b", b"x" * 101)
    for name in ("../outputs/a/b", "a/../../x", "/a/b", "a//b", "a/.b", "a/b\0", "ä/b", "a/" + "b" * 300, "", "a/b/c/d/e"):
        assert not folder.fetch(name, tmp_path / "got")
        with pytest.raises(OutputError, match="cannot be kept in the shared store") as refused:
            folder.push(name, b"")
        assert refused.value.code == "shared_file_name"
    with pytest.raises(EngineUnavailable, match="101 bytes, and this server takes 100 at most"):
        folder.fetch("a/b", tmp_path / "got")
    assert not (tmp_path / "got").exists()
    assert not folder._fetching, "nobody waits for it any more"
    assert one.outputs.bring(one.outputs.root / ("0" * 48) / "some thing.mp4") is False


def test_what_belongs_to_no_job_goes(machine: Make, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.service import job_inputs, outputs

    one = machine()
    job = one.send(b"kept")
    wait_for(lambda: one.state(job) == "done")
    for name in ("inputs", "outputs"):
        SharedFolder(one.files, name, 100).push("lost/file", b"of a process that was ended")
    for module in (job_inputs, outputs):
        monkeypatch.setattr(module, "UNRECORDED_S", -5.0)
    one.jobs.sweep()
    assert [key for key in kept(s3) if "lost" in key] == []
    assert one.result(job) == b"tpek"


@pytest.mark.parametrize("ahead_s", [-7200.0, 7200.0])
def test_what_is_new_stays_whatever_the_clock_of_a_machine_says(
    machine: Make, s3: S3Server, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """Another machine has put it there, and records its job in a moment."""
    one, now = machine(slots=0), time.time
    folders = [SharedFolder(one.files, name, 100) for name in ("inputs", "outputs")]
    for folder in folders:
        folder.push("new/file", b"of a job that is sent")
    monkeypatch.setattr(time, "time", lambda: now() + ahead_s)
    one.inputs._looked_s = one.outputs._looked_s = float("-inf")  # as after ten minutes
    one.jobs.sweep()
    assert len([key for key in kept(s3) if "new/file" in key]) == 2
    assert [folder.drop_unknown([], -5.0) for folder in folders] == [1, 1], "later it goes"


def test_credentials_that_are_refused_are_said_at_the_start(tmp_path: Path, s3: S3Server) -> None:
    from core.service.shared.s3_files import S3Files

    strict = S3Server(tmp_path, checks=True)
    try:
        strict.start()
        with pytest.raises(EngineUnavailable, match="credentials are refused for the bucket talk") as refused:
            S3Files(f"s3://{BUCKET}", strict.url)
        assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(refused.value)
    finally:
        strict.stop()


def test_what_is_wrong_with_the_bucket_is_said_at_the_start(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.service.shared import s3_files

    monkeypatch.setattr(s3_files, "STARTED_S", 0.5)
    with pytest.raises(EngineUnavailable, match="there is no bucket nowhere"):
        s3_files.S3Files("s3://nowhere", s3.url)
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        s3_files.S3Files(f"s3://{BUCKET}", "http://127.0.0.1:9")
