"""The bytes of videos: the oldest go first, never one that is made or sent, and what is forgotten is forgotten with its job."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import DiskFull, OutputError
from core.service import job_upkeep
from core.service.errors import MadeRoom, UnknownJob
from core.service.job_views import JobView
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.settings import Settings
from core.studio import Studio
from tests.support.disks import fill, read_only, small_disk
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import wait_for

OWNER = "visitor:a"


@pytest.fixture
def outputs(tmp_path: Path) -> OutputFolder:
    outputs = OutputFolder(tmp_path / "out" / "videos", 3600.0, limit_bytes=250)
    outputs.prepare()
    return outputs


@pytest.fixture
def service(studio: Studio, outputs: OutputFolder, tmp_path: Path) -> Iterator[Service]:
    service = Service(studio, outputs, Settings(cache_dir=tmp_path / "cache", keep_results=False))
    service.start()
    yield service
    service.close(0.0)


def video(outputs: OutputFolder, age_s: int, nbytes: int = 100) -> Path:
    path = outputs.new_video(OWNER)
    path.write_bytes(bytes(nbytes))
    os.utime(path.parent, (1_000_000 - age_s, 1_000_000 - age_s))
    return path


def made(service: Service, seed: int) -> JobView:
    async def make() -> JobView:
        job = await service.requests.video(VideoInputs(SPEECH, PORTRAIT, options={"size": 64, "seed": seed}), OWNER)
        return await service.jobs.ended(job.id, OWNER)

    return asyncio.run(make())


def test_the_oldest_go_first(outputs: OutputFolder) -> None:
    videos = [video(outputs, age_s) for age_s in (3, 1, 4, 2)]
    assert {folder for folder in outputs.trim()} == {videos[2].parent, videos[0].parent}
    assert [path.is_file() for path in videos] == [False, True, False, True]
    assert outputs.nbytes() == 200


def test_what_is_made_or_sent_stays_though_it_is_the_oldest(outputs: OutputFolder) -> None:
    videos = [video(outputs, age_s) for age_s in (4, 3, 2, 1)]
    with outputs.lease(videos[0]):
        outputs.trim()
        assert [path.is_file() for path in videos] == [True, False, False, True]
    more = video(outputs, 0)
    outputs.trim()
    assert [path.is_file() for path in (*videos, more)] == [False, False, False, True, True]


def test_the_newest_stays_however_large(outputs: OutputFolder) -> None:
    small, large = video(outputs, 1), video(outputs, 0, nbytes=1000)
    outputs.trim()
    assert [path.is_file() for path in (small, large)] == [False, True]


def test_a_lease_of_what_is_gone_is_refused(outputs: OutputFolder) -> None:
    path = video(outputs, 0)
    outputs.discard(path)
    with pytest.raises(FileNotFoundError):
        outputs.lease(path)


def test_uploads_and_foreign_files_are_no_videos(outputs: OutputFolder) -> None:
    sent = outputs.new_folder("arriving-") / "files"
    sent.write_bytes(bytes(1000))
    upload = outputs.adopt(sent, "a.png", OWNER)
    letter = outputs.root / "letter.txt"
    letter.write_bytes(bytes(1000))
    kept = [video(outputs, 1), video(outputs, 0)]
    assert outputs.trim() == []
    assert all(path.is_file() for path in (upload, letter, *kept))


def test_with_its_video_a_job_is_forgotten(service: Service, outputs: OutputFolder) -> None:
    first, second, third = (made(service, seed) for seed in range(3))
    wait_for(lambda: [job.id for job in service.jobs.of(OWNER)] == [third.id])  # room is made after the end is told
    assert third.video is not None
    assert third.video.is_file()
    for job in (first, second):
        assert job.video is not None
        assert not job.video.parent.exists()
        with pytest.raises(MadeRoom):
            service.jobs.get(job.id, OWNER)
        with pytest.raises(UnknownJob) as other:
            service.jobs.get(job.id, "visitor:b")
        assert not isinstance(other.value, MadeRoom)


def test_a_video_that_another_process_made_room_with_says_so(service: Service, outputs: OutputFolder) -> None:
    job = made(service, 0)
    assert job.video is not None
    outputs.discard(job.video)
    with pytest.raises(MadeRoom):
        service.jobs.with_files(job.id, OWNER)


def test_what_is_remembered_of_videos_that_made_room_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_upkeep, "MOST_REMEMBERED", 1)
    first, second, third = (made(service, seed) for seed in range(3))
    wait_for(lambda: [job.id for job in service.jobs.of(OWNER)] == [third.id])
    with pytest.raises(UnknownJob) as forgotten:
        service.jobs.get(first.id, OWNER)
    assert not isinstance(forgotten.value, MadeRoom)
    with pytest.raises(MadeRoom):
        service.jobs.get(second.id, OWNER)


def test_a_video_that_is_sent_outlives_newer_ones(service: Service, outputs: OutputFolder) -> None:
    first = made(service, 0)
    assert first.video is not None
    with outputs.lease(first.video):
        made(service, 1)
        made(service, 2)
        assert first.video.is_file()
    made(service, 3)
    wait_for(lambda: not first.video.exists())  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_written_is_said_and_becomes_usable_again(outputs: OutputFolder) -> None:
    with read_only(outputs.root), pytest.raises(OutputError, match="TALKING_HEAD_OUTPUT_DIR"):
        outputs.check()
    outputs.check()
    assert list(outputs.root.iterdir()) == []


def test_a_full_disk_is_said_and_nothing_stays(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        outputs = OutputFolder(disk / "out", 3600.0)
        outputs.prepare()
        filling = fill(disk)
        for write in (outputs.check, lambda: outputs.new_file("a.jpg", bytes(100_000), OWNER)):
            with pytest.raises(DiskFull, match="the disk is full"):
                write()
        assert list(outputs.root.iterdir()) == []
        filling.unlink()
        outputs.check()
        assert outputs.new_file("a.jpg", bytes(100_000), OWNER).stat().st_size == 100_000
