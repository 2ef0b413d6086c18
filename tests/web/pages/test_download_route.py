"""What is said to whoever downloads a video that is gone: that it made room, in the language of the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.media.conversion import Format
from core.service.errors import MadeRoom, UnknownJob
from core.service.outputs import OutputFolder
from core.web.pages.download_route import DownloadRoute, download_address
from core.web.statuses import status_of

JOB = "a" * 22


class Downloads:
    """Knows one video, which goes after it was found."""

    def __init__(self, outputs: OutputFolder) -> None:
        self._outputs = outputs
        self.goes = True

    async def file(self, job_id: str, owner: str, form: Format | None) -> Path:
        path = self._outputs.new_video(owner)
        path.write_bytes(b"video")
        if self.goes:
            self._outputs.discard(path)
        return path


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    outputs = OutputFolder(tmp_path / "out", 3600.0)
    outputs.prepare()
    return Downloads(outputs)


def fetched(downloads: Any, page: str) -> httpx.Response:
    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the address is the route's")

    async def fetch() -> httpx.Response:
        transport = httpx.ASGITransport(DownloadRoute(nothing, downloads, downloads._outputs))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(f"/{download_address(JOB, 'mp4')}", headers={"Referer": f"http://here/{page}"})

    return asyncio.run(fetch())


@pytest.mark.parametrize(("page", "said"), [("", "made room for newer ones"), ("de", "musste neueren Platz machen")])
def test_a_video_that_goes_in_the_moment_it_is_fetched_says_why(downloads: Downloads, page: str, said: str) -> None:
    answer = fetched(downloads, page)
    assert answer.status_code == 410
    assert said in answer.text
    downloads.goes = False
    assert fetched(downloads, page).content == b"video"


def test_only_what_made_room_is_said_to_be_gone() -> None:
    assert (status_of(MadeRoom()), status_of(UnknownJob())) == (410, 404)
