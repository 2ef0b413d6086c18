"""Past videos of each owner: kept, listed, forgotten."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import OptionError
from core.generation import GenerationInfo
from core.service.errors import UnknownJob
from core.service.job_views import JobView
from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.service import Service
from core.service.videos import MOST_TIMES
from core.settings import Settings
from core.studio import Studio

INFO = GenerationInfo("lite", "", 1, 25, 64, 64, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1, avatar="token")


class Folder:
    """What processes of one machine share."""

    def __init__(self, root: Path, studio: Studio) -> None:
        self.settings = Settings(cache_dir=root / "cache", output_dir=root)
        self.outputs = OutputFolder(root / "videos", 100.0)
        self.outputs.prepare()
        self._studio = studio
        self.services: list[Service] = []

    def service(self) -> Service:
        self.services.append(Service(self._studio, self.outputs, self.settings))
        return self.services[-1]

    def put(self, service: Service, owner: str) -> Path:
        video = self.outputs.new_video(owner)
        video.write_bytes(b"video")
        service.jobs.submit(NewJob(owner, "video", {"n": str(video)}, {}, None, 0, video, {"info": INFO.to_dict()}))
        return video


@pytest.fixture
def folder(tmp_path: Path, studio: Studio) -> Iterator[Folder]:
    made = Folder(tmp_path, studio)
    yield made
    for service in made.services:
        service.close(0.0)


def of(service: Service, owner: str) -> list[Path | None]:
    return [job.video for job in service.videos.of(owner)]


def test_they_are_each_owners_own_and_known_to_every_process(folder: Folder) -> None:
    service = folder.service()
    first, second = (folder.put(service, "ada") for _ in range(2))
    folder.put(service, "bea")
    for each in (service, folder.service()):
        assert of(each, "ada") == [second, first]
        assert len(of(each, "bea")) == 1
        assert of(each, "nobody") == []


def test_what_the_sweeper_took_is_not_listed_and_what_is_forgotten_is_gone(folder: Folder) -> None:
    service = folder.service()
    first, second = (folder.put(service, "ada") for _ in range(2))
    folder.outputs.discard(first)
    assert of(service, "ada") == [second]
    assert service.videos.forget("ada", "another token") == 0
    assert service.videos.forget("ada", "token") == 5
    assert not second.parent.exists()


def test_what_another_process_made_is_forgotten_as_well(folder: Folder) -> None:
    here, there = folder.service(), folder.service()
    assert of(here, "ada") == []
    video = folder.put(there, "ada")
    assert here.videos.forget_of_avatars("ada") == 5
    assert not video.parent.exists()
    assert of(there, "ada") == []


def one(service: Service, owner: str = "ada") -> JobView:
    return service.videos.of(owner)[0]


def test_a_name_is_the_owners_and_outlives_the_process(folder: Folder) -> None:
    service = folder.service()
    folder.put(service, "ada")
    video = one(service)
    service.videos.rename("ada", video.id, "  A <b>\n name ")
    assert one(folder.service()).name == "A <b> name"
    with pytest.raises(UnknownJob):
        service.videos.rename("bea", video.id, "mine")
    with pytest.raises(OptionError):
        service.videos.rename("ada", video.id, "x" * 81)
    service.videos.rename("ada", video.id, "")
    assert one(service).name == ""


def test_a_video_that_is_kept_longer_outlives_the_others_but_not_for_ever(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    service = folder.service()
    folder.outputs.ttl_s = service.settings.output_ttl_s
    folder.put(service, "ada")
    path = folder.put(service, "ada")
    now_s = time.time()
    long_ago = now_s - 90
    for video in folder.outputs.root.rglob("*"):
        os.utime(video, (long_ago, long_ago))
    with pytest.raises(UnknownJob):
        service.videos.keep_longer("bea", one(service).id)
    service.videos.keep_longer("ada", one(service).id)
    assert path.stat().st_mtime >= now_s - 1
    assert service.videos.left_s(one(service)) == pytest.approx(folder.outputs.ttl_s, abs=5)
    monkeypatch.setattr("core.service.jobs.time.time", lambda: now_s + service.settings.output_ttl_s + 1)
    service.jobs.sweep()
    assert of(service, "ada") == []  # by then both are too old
    monkeypatch.undo()
    folder.put(service, "ada")
    kept, ended_s = one(service), one(service).ended_s
    monkeypatch.setattr("core.service.jobs.time.time", lambda: ended_s + service.settings.output_ttl_s - 1)
    service.videos.keep_longer("ada", kept.id)
    monkeypatch.setattr("core.service.jobs.time.time", lambda: ended_s + service.settings.output_ttl_s + 60)
    service.jobs.sweep()
    assert [video.id for video in service.videos.of("ada")] == [kept.id]
    monkeypatch.setattr("core.service.videos.time.time", lambda: ended_s + MOST_TIMES * folder.outputs.ttl_s + 1)
    assert not service.videos.can_be_kept_longer(one(service))
    before = one(service).prolonged_s
    service.videos.keep_longer("ada", kept.id)
    assert one(service).prolonged_s == before


def test_one_is_deleted_and_the_others_stay(folder: Folder) -> None:
    service = folder.service()
    first, second = folder.put(service, "ada"), folder.put(service, "ada")
    with pytest.raises(UnknownJob):
        service.videos.forget_one("bea", one(service).id)
    assert service.videos.forget_one("ada", one(service).id) == len(b"video")
    assert of(service, "ada") == [first]
    assert not second.exists()


def test_what_is_no_video_has_no_thumbnail(folder: Folder) -> None:
    service = folder.service()
    path = folder.put(service, "ada")
    assert service.videos.thumbnail(one(service)) is None
    assert list(path.parent.iterdir()) == [path]
