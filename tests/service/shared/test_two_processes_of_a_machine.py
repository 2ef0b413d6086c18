"""Two processes of one machine that share its folders, beside a bucket that others share with them: what one does on the disk, and what the
other finds there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.optimization import shared_avatars
from core.optimization.shared_folder import SharedFolder
from core.service.errors import UnknownJob
from tests.support.databases import PostgresServer
from tests.support.machine_avatars import MachineAvatars
from tests.support.s3 import BUCKET, S3Server
from tests.support.serving import wait_for
from tests.support.shared_machines import TEN_MIB, Machine

pytestmark = pytest.mark.slow

@pytest.fixture
def processes(tmp_path: Path, postgres: PostgresServer, s3: S3Server) -> Iterator[list[Machine]]:
    made = [Machine(tmp_path / "machine", postgres, s3.url, slots=slots) for slots in (0, 1)]
    yield made
    for one in made:
        one.jobs.close(0.0, 5.0)


def test_both_have_what_either_was_sent_and_made(processes: list[Machine]) -> None:
    here, there = processes
    jobs = [here.send(bytes([n]) * 100) for n in range(4)]
    wait_for(lambda: all(there.state(job) == "done" for job in jobs))
    for n, job in enumerate(jobs):
        assert here.result(job) == there.result(job) == bytes([n]) * 100
    wait_for(lambda: not list((here.folder / "inputs").iterdir()))  # nothing is left of what was sent
    assert not list(here.folder.rglob("*.part"))
    there.jobs.forget(jobs[0], "ada")
    with pytest.raises(UnknownJob):
        here.jobs.with_files(jobs[0], "ada")
    assert len(list(here.outputs.root.rglob("talking-head.mp4"))) == 3


def test_one_makes_room_while_the_other_fetches(processes: list[Machine]) -> None:
    """Whoever asks for a video gets it, however often its folder goes meanwhile."""
    here, there = processes
    jobs = [here.send(bytes([n]) * TEN_MIB) for n in range(3)]
    wait_for(lambda: all(here.state(job) == "done" for job in jobs), 60)
    there.outputs.limit_bytes = 1
    over = threading.Event()

    def make_room() -> None:
        while not over.is_set():
            there.jobs.make_room()

    making = threading.Thread(target=make_room)
    making.start()
    try:
        with ThreadPoolExecutor(3) as readers:
            for _ in range(4):
                assert all(readers.map(lambda job: here.jobs.with_files(job, "ada").video, jobs))
    finally:
        over.set()
        making.join()
    assert not list(here.outputs.root.rglob("*.part"))


@pytest.fixture
def avatars(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], MachineAvatars]:
    from core.service.shared.s3_files import S3Files

    monkeypatch.setattr(shared_avatars, "FRESH_S", 0.0)
    bucket = SharedFolder(S3Files(f"s3://{BUCKET}", s3.url), "avatars", 1_000_000)
    return lambda machine: MachineAvatars(tmp_path / machine, bucket, 100_000)


def test_an_avatar_of_one_is_the_others_at_once_and_goes_for_both(avatars: Callable[[str], MachineAvatars]) -> None:
    one, other, elsewhere = avatars("this"), avatars("this"), avatars("another")
    one.make(1)
    for each in (other, elsewhere):
        each.shared.refresh_all(each.entry(1).parent)
        each.shared.bring(each.entry(1) / "source")
        assert (each.entry(1) / "source").stat().st_size == 100_000
    one.shared.drop(one.entry(1))
    one.cache.remove(one.entry(1))
    for each in (other, elsewhere):
        each.shared.refresh(each.entry(1))
        assert not each.entry(1).exists()


def test_one_looks_while_the_other_registers_and_nothing_goes(
    avatars: Callable[[str], MachineAvatars], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_avatars, "SWEPT_S", 0.0)
    one, other = avatars("this"), avatars("this")
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            other.shared.refresh_all(other.entry(0).parent)
            other.shared.sweep(10**9)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for n in range(12):
            one.make(n)
    finally:
        over.set()
        looking.join()
    assert all((one.entry(n) / "source").is_file() for n in range(12))
    assert (one.gone, other.gone) == ([], [])
