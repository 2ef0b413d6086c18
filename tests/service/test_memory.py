"""What a job was given is let go the moment it ends, by itself: nothing waits for the garbage collector; freed memory goes back."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from core.optimization.registration_memory import PASSING_SHARE, RegistrationMemory
from core.request import Framing, Request
from core.service.freed_memory import FreedMemory, give_back
from core.studio import Studio
from core.types import Audio, Photo
from tests.support.paths import LONG_SPEECH, PORTRAIT, SPEECH
from tests.support.serving import Serving, forget_people, form, serving, wait_for

WIDTH = 611
"""Of the photos of these tests: no other has it."""


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(studio, tmp_path_factory.mktemp("server"), keep_results=False) as server:
        yield server
    forget_people(studio)


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def photo(face: bool = True) -> bytes:
    pixels = cv2.resize(cv2.imread(str(PORTRAIT)), (WIDTH, WIDTH)) if face else np.full((WIDTH, WIDTH, 3), 90, np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def held() -> list[object]:
    """Photos of these tests, requests with one, and recordings, that are anywhere in memory."""
    found = [each for each in gc.get_objects() if type(each) in (Photo, Audio, Request)]  # isinstance wakes lazy objects
    photos = [each for each in found if isinstance(each, Photo) and each.pixels.shape[1] == WIDTH]
    return [*photos, *(each for each in found if isinstance(each, Request))]


def test_a_job_that_ends_lets_go_of_photo_and_recording(server: Serving, no_collection: None) -> None:
    size = json.dumps({"size": 64})
    with server.client() as client:
        assert client.post("/generate", **form(image=photo(), options=size)).status_code == 200
        wait_for(lambda: not held())
        assert client.post("/generate", **form(image=photo(face=False), options=size)).status_code == 422
        wait_for(lambda: not held())
        assert client.post("/stream", **form(image=photo(), options=size)).status_code == 200
        wait_for(lambda: not held())
        assert client.post("/avatars", **form(audio=None, image=photo())).status_code in (200, 201)
        wait_for(lambda: not held())


def test_a_kept_job_keeps_neither(server: Serving, no_collection: None) -> None:
    with server.client() as client:
        done = client.post("/generate?async=1", **form(audio=SPEECH, image=photo(), options='{"size": 64}')).json()
        wait_for(lambda: client.get(f"/jobs/{done['id']}").json()["state"] == "done")
        failed = client.post("/generate?async=1", **form(image=photo(face=False))).json()
        wait_for(lambda: client.get(f"/jobs/{failed['id']}").json()["state"] == "failed")
        stopped = client.post("/generate?async=1", **form(audio=LONG_SPEECH, image=photo(), options='{"size": 512}')).json()
        wait_for(lambda: client.get(f"/jobs/{stopped['id']}").json()["state"] == "running")
        client.delete(f"/jobs/{stopped['id']}")
        wait_for(lambda: not held())
        for job in (done, failed):
            assert client.get(f"/jobs/{job['id']}").status_code == 200


def test_a_clients_leaving_lets_go_too(server: Serving, no_collection: None) -> None:
    with server.client() as client, client.stream(
        "POST", "/stream", **form(audio=LONG_SPEECH, image=photo(), options='{"size": 512}')
    ) as answer:
        next(answer.iter_raw())
    wait_for(server.idle)
    wait_for(lambda: not held())


class Registered:
    """Of a size."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def test_photos_that_pass_leave_the_memory_to_avatars() -> None:
    memory = RegistrationMemory(8 * PASSING_SHARE)

    def key(name: str) -> tuple[str, str, str, str, Framing]:
        return "owner", "lite", "1", name, Framing()

    for n in range(8):
        memory.put(key(f"avatar {n}"), Registered(4))  # type: ignore[arg-type]
    for n in range(20):
        memory.put(key(f"photo {n}"), Registered(4), passing=True)  # type: ignore[arg-type]
    assert [n for n in range(8) if memory.get(key(f"avatar {n}"))] == list(range(8))
    assert [n for n in range(20) if memory.get(key(f"photo {n}"))] == [18, 19]
    assert memory.stats()["bytes"] == 40
    memory.put(key("large"), Registered(30), passing=True)  # type: ignore[arg-type]
    assert memory.get(key("large")), "one that is larger than the share is kept alone"
    assert memory.get(key("photo 19")) is None
    memory.put(key("large"), Registered(30))  # type: ignore[arg-type]
    memory.put(key("photo 20"), Registered(2), passing=True)  # type: ignore[arg-type]
    assert memory.get(key("large")), "it is an avatar's now"


def test_freed_memory_is_given_back_once_after_many_jobs() -> None:
    times, given = [], threading.Event()

    def give() -> None:
        times.append(1)
        given.set()

    freed = FreedMemory(pause_s=0.2, work=give)
    freed.start()
    for _ in range(100):
        freed.job_ended()
    assert given.wait(60)
    assert times == [1]
    given.clear()
    freed.job_ended()
    assert given.wait(60)
    freed.close()
    give_back()
