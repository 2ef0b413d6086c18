"""Past videos of each owner: kept, listed, forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.service.new_job import NewJob
from core.service.outputs import OutputFolder
from core.service.service import Service
from core.settings import Settings
from core.studio import Studio
from core.types import GenerationInfo

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
