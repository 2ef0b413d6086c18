"""Texts that visitors hear before a video: the speech is the video's, one at a time for each, bounded, and ended when nobody waits."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from core.errors import Cancelled, TextError
from core.service import listening
from core.service.errors import TooMany
from core.service.listening import Heard
from core.service.outputs import OutputFolder
from core.service.owned_folders import belongs
from core.service.requests import VideoInputs
from core.service.service import Service
from core.settings import Settings
from core.speech_synthesis.base import joined, to_int16
from core.studio import Studio
from tests.support.paths import PORTRAIT
from tests.support.speech_server import KEY, SpeechServer, speech_server

TEXT, VOICE = "Nobody hears this twice. It is said once.", "service-alloy"


@pytest.fixture
def server() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


@pytest.fixture
def service(studio: Studio, tmp_path: Path, server: SpeechServer) -> Iterator[Service]:
    settings = Settings(
        output_dir=tmp_path / "out", cache_dir=tmp_path / "cache", keep_results=False, label=False,
        speech_url=server.url, speech_key=SecretStr(KEY), speech_voices=("alloy", "stalling"),
    )  # fmt: skip
    outputs = OutputFolder(tmp_path / "out", 3600.0)
    outputs.prepare()
    service = Service(studio, outputs, settings)
    service.start()
    yield service
    service.close(0.0)


def heard(service: Service, text: str = TEXT, voice: str = VOICE, speed: float = 1.0, owner: str = "ada") -> Heard:
    return asyncio.run(service.listening.heard(text, voice, speed, owner))


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


async def stalled(service: Service, server: SpeechServer) -> asyncio.Task[Heard]:
    """Somebody whose first sentence is being spoken, until `go_on` is set."""
    task = asyncio.ensure_future(service.listening.heard(TEXT, "service-stalling", 1.0, "ada"))
    while not server.requests:
        await asyncio.sleep(0.01)
    return task


async def is_cancelled(service: Service, task: asyncio.Task[Heard], server: SpeechServer) -> None:
    """At once for who waits; and the second sentence is not asked for."""
    with pytest.raises((Cancelled, asyncio.CancelledError)):
        await asyncio.wait_for(task, 10)
    server.go_on.set()
    while service.listening.at_work:
        await asyncio.sleep(0.01)
    assert [request["voice"] for request in server.requests].count("stalling") == 1


def test_what_is_heard_is_what_the_voice_says_and_belongs_to_who_asked(service: Service) -> None:
    speech = joined(service.speaker.speak(TEXT, service.speaker.voice(VOICE), 1.0, "eve"))
    answer = heard(service)
    assert np.array_equal(samples(answer.path), to_int16(speech.samples))
    assert answer.duration_s == pytest.approx(speech.duration_s)
    assert belongs(answer.path, service.outputs.root, "ada")
    assert not belongs(answer.path, service.outputs.root, "eve")


def test_the_video_that_follows_says_the_speech_that_was_heard(service: Service, server: SpeechServer) -> None:
    heard(service)
    spoken = len(server.requests)
    inputs = VideoInputs(None, PORTRAIT, options={"size": 128}, text=TEXT, voice=VOICE)

    async def made() -> str:
        job = await service.requests.video(inputs, "ada")
        return (await service.jobs.ended(job.id, "ada")).state

    assert asyncio.run(made()) == "done"
    assert len(server.requests) == spoken, "nothing was spoken again"


def test_a_text_that_cannot_be_said_is_refused_and_counts_for_nothing(service: Service) -> None:
    for _ in range(listening.PER_MINUTE + 1):
        with pytest.raises(TextError):
            heard(service, " ")
    heard(service)


def test_who_hears_too_much_waits(service: Service) -> None:
    for _ in range(listening.PER_MINUTE):
        heard(service)
    with pytest.raises(TooMany, match="in a minute"):
        heard(service)
    heard(service, owner="bob")


def test_what_is_stopped_ends(service: Service, server: SpeechServer) -> None:
    async def stop() -> None:
        task = await stalled(service, server)
        service.listening.stop("bob")
        assert not task.done()
        service.listening.stop("ada")
        await is_cancelled(service, task, server)

    asyncio.run(stop())
    heard(service)


def test_another_text_takes_the_place_of_the_one_before(service: Service, server: SpeechServer) -> None:
    async def both() -> Heard:
        task = await stalled(service, server)
        second = await service.listening.heard(TEXT, VOICE, 1.0, "ada")
        await is_cancelled(service, task, server)
        return second

    assert asyncio.run(both()).path.is_file()


def test_a_caller_who_goes_away_ends_the_work(service: Service, server: SpeechServer) -> None:
    async def leave() -> None:
        task = await stalled(service, server)
        task.cancel()
        await asyncio.sleep(0)
        await is_cancelled(service, task, server)

    asyncio.run(leave())
    heard(service)


def test_those_that_wait_are_bounded_and_get_their_turn(service: Service, server: SpeechServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MAX_WAITING", 3)

    async def crowd() -> None:
        speak = service.listening.heard
        tasks = [asyncio.ensure_future(speak(TEXT, "service-stalling", 1.0, f"visitor {n}")) for n in range(3)]
        while len(server.requests) < listening.AT_ONCE:
            await asyncio.sleep(0.01)
        with pytest.raises(TooMany, match="waiting"):
            await speak(TEXT, VOICE, 1.0, "ada")
        assert len(server.requests) == listening.AT_ONCE, "the third waits"
        server.go_on.set()
        for answer in await asyncio.gather(*tasks):
            assert answer.path.is_file()
        await speak(TEXT, VOICE, 1.0, "ada")

    asyncio.run(crowd())


def test_only_the_newest_files_are_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "KEPT", 2)

    async def three() -> list[Heard]:
        return [await service.listening.heard(TEXT, VOICE, speed, "ada") for speed in (1.0, 1.1, 1.2)]

    assert [answer.path.is_file() for answer in asyncio.run(three())] == [False, True, True]


def test_the_end_of_the_service_ends_what_is_spoken(service: Service, server: SpeechServer) -> None:
    async def end() -> None:
        task = await stalled(service, server)
        await asyncio.to_thread(service.stop, 0.0)
        server.go_on.set()
        await is_cancelled(service, task, server)

    asyncio.run(end())
