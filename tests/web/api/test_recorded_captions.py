"""Captions of recordings over HTTP: of jobs that can be asked for them, and of no others unless they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.studio import Studio
from tests.support.paths import SPEECH
from tests.support.recognition_server import KEY, WORDS, RecognitionServer, recognition_server
from tests.support.serving import form, serving, wait_for

SMALL = '{"size": 128}'


@pytest.fixture
def recogniser() -> Iterator[RecognitionServer]:
    with recognition_server() as recogniser:
        yield recogniser


@pytest.fixture
def client(recogniser: RecognitionServer, open_again: Callable[..., Studio], tmp_path: Path) -> Iterator[httpx.Client]:
    about = {"recognition_url": recogniser.url, "recognition_key": KEY, "caption_recordings": True}
    with serving(open_again(), tmp_path / "server", **about) as server, server.client() as client:
        yield client


def ended(client: httpx.Client, job: str) -> dict[str, object]:
    wait_for(lambda: client.get(f"/jobs/{job}").json()["state"] in ("done", "failed"))
    told: dict[str, object] = client.get(f"/jobs/{job}").json()
    return told


def test_a_job_of_a_recording_has_them(client: httpx.Client, recogniser: RecognitionServer) -> None:
    job = ended(client, client.post("/generate?async=1", **form(SPEECH, options=SMALL)).json()["id"])
    assert WORDS in client.get(str(job["captions"])).text
    without = ended(client, client.post("/generate?async=1", **form(SPEECH, options=SMALL, captions="false")).json()["id"])
    assert without["captions"] is None


def test_where_the_answer_is_the_video_nothing_is_recognised(client: httpx.Client, recogniser: RecognitionServer) -> None:
    assert client.post("/generate", **form(SPEECH, options=SMALL)).status_code == 200
    assert recogniser.requests == []
    assert client.post("/generate", **form(SPEECH, options=SMALL, captions="true")).status_code == 200
    assert len(recogniser.requests) == 1
