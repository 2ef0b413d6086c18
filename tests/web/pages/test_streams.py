"""Videos that are shown while they are made: each address works once, and who leaves stops the work."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from core.errors import FaceError
from core.generation_run import GenerationRun
from core.service.errors import UnknownJob
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.settings import Settings
from core.studio import Studio
from core.web.pages.stream_route import StreamRoute, stream_address
from tests.support.app_process import probe
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import wait_for


@pytest.fixture
def service(studio: Studio, tmp_path: Path) -> Iterator[Service]:
    outputs = OutputFolder(tmp_path / "videos", 100.0)
    outputs.prepare()
    service = Service(studio, outputs, Settings(cache_dir=tmp_path / "cache", output_dir=tmp_path))
    service.start()
    yield service
    service.close(0.0)


def begin(service: Service, image: Path = PORTRAIT) -> str:
    """The job's id."""
    return asyncio.run(service.requests.video(VideoInputs(SPEECH, image, options={"size": 64}), "ada", kind="stream", kept=False)).id


@pytest.fixture
def get(service: Service) -> Any:
    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError(f"{scope['path']} was handed on")

    client = TestClient(StreamRoute(elsewhere, service.jobs))
    return lambda address: client.get(f"/{address}")


def test_it_comes_once(service: Service, get: Any, tmp_path: Path) -> None:
    job_id = begin(service)
    address = stream_address(job_id)
    assert re.fullmatch(r"talking_head_stream/[\w-]{22}", address)
    answer = get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith('video/mp4; codecs="avc1')
    (tmp_path / "stream.mp4").write_bytes(answer.content)
    assert probe(str(tmp_path / "stream.mp4"))[:3] == (64, 64, 75)
    assert get(address).status_code == 404
    done = asyncio.run(service.jobs.ended(job_id, "ada"))
    assert done.info is not None
    assert done.info.frames == 75
    with pytest.raises(UnknownJob):
        service.jobs.get(job_id, "another visitor")


def test_what_fails_at_once_has_an_answer_and_a_reason(service: Service, get: Any, tmp_path: Path) -> None:
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((128, 128, 3), 90, np.uint8))
    job_id = begin(service, wall)
    assert get(stream_address(job_id)).status_code == 409
    assert isinstance(asyncio.run(service.jobs.ended(job_id, "ada")).error, FaceError)


def test_what_waits_when_the_service_stops_is_told_so(service: Service, get: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, gate, answers = GenerationRun.frames, threading.Event(), list[Any]()

    def waits(run: GenerationRun, job: Any) -> Iterator[Any]:
        assert gate.wait(30)
        yield from whole(run, job)

    monkeypatch.setattr(GenerationRun, "frames", waits)
    begin(service)
    wait_for(lambda: service.queue()["running"] == 1)
    job_id = begin(service)
    asking = threading.Thread(target=lambda: answers.append(get(stream_address(job_id))))
    stopping = threading.Thread(target=service.stop, args=(0.0, 30.0))
    asking.start()
    stopping.start()
    wait_for(lambda: service.jobs.stopping)
    gate.set()
    for thread in (stopping, asking):
        thread.join(30)
    assert answers[0].status_code == 503
    assert "stopping" in answers[0].text
    error = service.jobs.get(job_id, "ada").error
    assert error is not None
    assert error.code == "stopping"


def test_a_fault_in_the_middle_ends_what_was_sent_and_is_logged(
    service: Service, get: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    whole = GenerationRun.frames

    def breaks_off(run: GenerationRun, job: Any) -> Iterator[Any]:
        yield from itertools.islice(whole(run, job), 50)
        raise RuntimeError("a fault")

    monkeypatch.setattr(GenerationRun, "frames", breaks_off)
    answer = get(stream_address(begin(service)))
    assert answer.status_code == 200
    assert len(answer.content) > 1000
    assert "a stream failed" in caplog.text


def test_who_leaves_stops_the_work(service: Service, get: Any) -> None:
    job_id = begin(service)
    service.jobs.abandon(job_id, "ada")
    wait_for(lambda: not service.queue()["running"] and not service.queue()["waiting"])
    assert get(stream_address(job_id)).status_code in (404, 409)
