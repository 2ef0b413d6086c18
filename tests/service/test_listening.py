"""Texts that visitors hear before a video: the speech is the video's, one at a time for each, bounded, and ended when nobody waits."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from pydantic import SecretStr

from core.errors import Cancelled, EngineUnavailable, TextError
from core.service import listening
from core.service.errors import TooMany
from core.service.listening import Heard
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.settings import Settings
from core.speech_synthesis.base import joined
from core.studio import Studio
from tests.support.paths import PORTRAIT
from tests.support.speech_server import KEY, SpeechServer, speech_server

TEXT, VOICE = "Nobody hears this sentence more often than twice. It is said once.", "service-alloy"


@pytest.fixture
def server() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


@pytest.fixture
def service(studio: Studio, tmp_path: Path, server: SpeechServer) -> Iterator[Service]:
    settings = Settings(
        output_dir=tmp_path / "out", cache_dir=tmp_path / "cache", keep_results=False, label=False,
        speech_url=server.url, speech_key=SecretStr(KEY), speech_voices=("alloy", "stalling", "dropping", "broken"),
    )  # fmt: skip
    outputs = OutputFolder(tmp_path / "out", 3600.0)
    outputs.prepare()
    service = Service(studio, outputs, settings)
    service.start()
    yield service
    service.close(0.0)


async def spoken(service: Service, text: str = TEXT, voice: str = VOICE, speed: float = 1.0, owner: str = "ada") -> bytes:
    """The whole file, as two who read it while it is spoken get it."""
    heard = await service.listening.begin(text, voice, speed, owner)
    assert service.listening.find(heard.token) is heard
    first, second = await asyncio.gather(_read(heard), _read(heard))
    await heard.whole()
    assert first == second
    return first


async def _read(heard: Heard) -> bytes:
    return b"".join([piece async for piece in heard.data()])


def heard(service: Service, text: str = TEXT, voice: str = VOICE, speed: float = 1.0, owner: str = "ada") -> bytes:
    return asyncio.run(spoken(service, text, voice, speed, owner))


async def stalled(service: Service, server: SpeechServer, owner: str = "ada") -> asyncio.Task[None]:
    """Somebody who hears the beginning of the first sentence, and waits for the rest until `go_on` is set."""
    heard = await service.listening.begin(TEXT, "service-stalling", 1.0, owner)
    assert len(await anext(heard.data())) > 0
    assert not server.go_on.is_set(), "it is heard before it is whole"
    task = asyncio.ensure_future(heard.whole())
    await asyncio.sleep(0)
    return task


async def is_cancelled(service: Service, task: asyncio.Task[None], server: SpeechServer) -> None:
    """At once for who waits; and the second sentence is not asked for."""
    with pytest.raises((Cancelled, asyncio.CancelledError)):
        await asyncio.wait_for(task, 10)
    server.go_on.set()
    while service.listening.at_work:
        await asyncio.sleep(0.01)
    assert [request["voice"] for request in server.requests].count("stalling") == 1


def test_what_is_heard_is_what_the_voice_says(service: Service) -> None:
    speech = joined(service.speaker.speak(TEXT, service.speaker.voice(VOICE), 1.0, "eve"))
    with av.open(io.BytesIO(heard(service))) as file:
        assert file.format.name == "mp3"
        samples = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        assert len(samples) / file.streams.audio[0].rate == pytest.approx(speech.duration_s, abs=0.15)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.sqrt(np.mean(speech.samples**2)), rel=0.1)


def test_what_breaks_off_is_told_after_what_was_heard(service: Service) -> None:
    async def broken() -> None:
        said = await service.listening.begin(TEXT, "service-dropping", 1.0, "ada")
        assert await _read(said)
        with pytest.raises(EngineUnavailable):
            await said.whole()
        with pytest.raises(EngineUnavailable):
            await service.listening.begin(TEXT, "service-broken", 1.0, "ada")

    asyncio.run(broken())


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
    async def both() -> bytes:
        task = await stalled(service, server)
        second = await spoken(service)
        await is_cancelled(service, task, server)
        return second

    assert asyncio.run(both())


def test_a_caller_who_goes_away_ends_the_work(service: Service, server: SpeechServer) -> None:
    async def leave() -> None:
        task = await stalled(service, server)
        task.cancel()
        await asyncio.sleep(0)
        await is_cancelled(service, task, server)

    asyncio.run(leave())
    heard(service)


def test_those_that_wait_are_bounded_and_get_their_turn(service: Service, server: SpeechServer, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = service.settings.max_spoken
    monkeypatch.setattr(listening, "MAX_WAITING", at_once + 1)

    async def crowd() -> None:
        tasks = [await stalled(service, server, f"visitor {n}") for n in range(at_once)]
        waiting = asyncio.ensure_future(spoken(service))
        while service.listening.at_work <= at_once:
            await asyncio.sleep(0.01)
        with pytest.raises(TooMany, match="waiting"):
            await service.listening.begin(TEXT, VOICE, 1.0, "eve")
        assert len(server.requests) == at_once, "the last one waits"
        server.go_on.set()
        await asyncio.gather(*tasks)
        assert await waiting

    asyncio.run(crowd())


def test_only_the_newest_sounds_are_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "KEPT", 2)

    async def three() -> list[Heard]:
        return [await service.listening.begin(TEXT, VOICE, speed, "ada") for speed in (1.0, 1.1, 1.2)]

    assert [service.listening.find(each.token) is each for each in asyncio.run(three())] == [False, True, True]


def test_the_end_of_the_service_ends_what_is_spoken(service: Service, server: SpeechServer) -> None:
    async def end() -> None:
        task = await stalled(service, server)
        await asyncio.to_thread(service.stop, 0.0)
        server.go_on.set()
        await is_cancelled(service, task, server)

    asyncio.run(end())
