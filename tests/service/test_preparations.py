"""What a video needs before its first frame is made ready while a visitor still puts in the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.service import preparations
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.studio import Studio
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import wait_for

OWNER = "somebody"
CHOSEN = {"size": 128, "aspect": "9:16"}


@pytest.fixture
def service(open_again: Callable[..., Studio], tmp_path: Path) -> Iterator[Service]:
    studio = open_again(serving=True)
    studio.engine("lite")
    outputs = OutputFolder(tmp_path / "out", 3600.0)
    outputs.prepare()
    service = Service(studio, outputs)
    service.start()
    yield service
    service.close(0.0)


def counts(service: Service) -> tuple[Any, Any]:
    stats: Any = service.studio.stats()["avatars"]
    return stats["hits"], stats["misses"]


def test_the_video_finds_its_person_registered(service: Service) -> None:
    asyncio.run(service.preparations.of(PORTRAIT, OWNER, "auto", CHOSEN))
    assert counts(service) == (0, 1)
    job = asyncio.run(service.requests.video(VideoInputs(SPEECH, PORTRAIT, options=CHOSEN), OWNER))
    wait_for(lambda: service.jobs.get(job.id, OWNER).ended)
    assert service.jobs.get(job.id, OWNER).state == "done"
    assert counts(service) == (1, 1)


def test_of_several_the_newest_is_made(service: Service) -> None:
    async def choose() -> None:
        await asyncio.gather(*(service.preparations.of(PORTRAIT, OWNER, "auto", {"face_index": n}) for n in (0, 1, 2)))

    asyncio.run(choose())
    assert counts(service) == (0, 1), "the first, which was begun; there is no third face"


def test_nothing_is_said_of_what_goes_wrong(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for person, chosen in ((tmp_path / "none.png", CHOSEN), (SPEECH, CHOSEN), ("no token", CHOSEN), (PORTRAIT, {"size": "huge"})):
        asyncio.run(service.preparations.of(person, OWNER, "auto", chosen))
    monkeypatch.setattr(preparations, "MAX_WAITING", 0)
    asyncio.run(service.preparations.of(PORTRAIT, OWNER, "auto", CHOSEN))
    assert counts(service) == (0, 0)
