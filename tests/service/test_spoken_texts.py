"""Texts in place of recordings: checked when a video of one is asked for, spoken by its job, and kept by nobody longer than the job."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError, OptionError, TextError
from core.media.captions import webvtt
from core.media.image import load_image
from core.request import RenderOptions, Request
from core.service.job_views import JobView
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.settings import Settings
from core.speech_synthesis.recording import spoken
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.serving import wait_for
from tests.support.speech_server import KEY, speech_server

TEXT = "A secret about Zanzibar. Nobody may read it."
VOICE = "espeak-en-us"
SAME = "af_heart"
"""A voice that says the same text in the same way every time, to the last sample."""
Services = Callable[..., Service]


@pytest.fixture
def service(tmp_path: Path, open_again: Callable[..., Studio]) -> Iterator[Services]:
    """Opens the same service, as processes one after the other do."""
    opened: list[Service] = []

    def again(started: bool = True, **settings: Any) -> Service:
        studio = open_again(serving=False, **settings)
        outputs = OutputFolder(studio.settings.output_dir / "videos", 3600.0)
        outputs.prepare()
        opened.append(Service(studio, outputs))
        if started:
            opened[-1].start()
        return opened[-1]

    yield again
    for each in opened:
        each.close(0.0)


def accepted(service: Service, owner: str = "ada", kind: Any = "video", **inputs: Any) -> JobView:
    given = VideoInputs(**{"audio": None, "image": PORTRAIT, "text": TEXT, "voice": VOICE, "options": {"size": 128}, **inputs})
    return asyncio.run(service.requests.video(given, owner, kind=kind))


def made(service: Service, **inputs: Any) -> JobView:
    job = accepted(service, **inputs)
    return asyncio.run(service.jobs.ended(job.id, job.owner))


@pytest.mark.slow
def test_a_text_becomes_the_video_that_its_recording_would(service: Services, settings: Settings, tmp_path: Path, studio: Studio) -> None:
    job = made(service(), voice=SAME)
    assert job.error is None
    assert job.video is not None
    assert job.voice == SAME
    speaker = Speaker(settings, None)
    audio, speech = spoken(speaker, settings, TEXT, speaker.voice(SAME))
    photo = load_image(PORTRAIT, settings)
    request = Request(audio, photo, options=RenderOptions(size=128, label=settings.label, mark=settings.mark))
    assert studio.generate(request, tmp_path / "same.mp4").info.frames == job.info.frames  # type: ignore[union-attr]
    assert digest(job.video) == digest(tmp_path / "same.mp4")
    assert [line for caption in job.captions for line in caption.lines] == ["A secret about Zanzibar.", "Nobody may read it."]
    assert job.captions[0].start_s < 0.3 < 1.0 < job.captions[1].start_s < job.captions[1].end_s <= speech.duration_s + 0.5
    assert webvtt(job.captions).startswith("WEBVTT\n\n00:00:00.")


def digest(video: Path) -> str:
    return hashlib.sha256(video.read_bytes()).hexdigest()


def test_it_is_spoken_once_for_each_owner(service: Services) -> None:
    opened = service()
    videos = [made(opened, owner=owner, options={"size": 128, "seed": n}) for n, owner in enumerate(("ada", "ada", "bea"))]
    assert all(job.state == "done" for job in videos)
    stats = opened.cache_stats()["speech"]
    assert (stats["hits"], stats["misses"], stats["entries"]) == (1, 2, 2)
    assert opened.avatars.clear("speech", "ada") > 1000
    assert opened.cache_stats()["speech"]["entries"] == 1
    assert opened.videos.of("ada")
    opened.avatars.clear("all", "bea")
    assert opened.cache_stats()["speech"]["entries"] == 0


def test_captions_are_kept_only_where_they_are_wanted(service: Services) -> None:
    job = made(service(), captions=False)
    assert job.state == "done"
    assert job.captions == ()


@pytest.mark.slow
def test_an_accepted_text_outlives_its_process(service: Services, tmp_path: Path) -> None:
    first = service(started=False)
    waiting = accepted(first, voice=SAME)
    first.close(0.0)
    second = service()
    ended = asyncio.run(second.jobs.ended(waiting.id, "ada"))
    assert ended.video is not None
    again = made(second, owner="bea", voice=SAME)
    assert again.video is not None
    assert digest(again.video) == digest(ended.video)


@pytest.mark.parametrize(
    ("inputs", "error", "code"),
    [
        ({"audio": SPEECH}, InputError, "audio_and_text"),
        ({"text": None, "voice": ""}, InputError, "no_audio"),
        ({"audio": SPEECH, "text": None}, InputError, "voice_without_text"),
        ({"audio": SPEECH, "text": None, "voice": "", "speed": 1.5}, InputError, "voice_without_text"),
        ({"text": " \n"}, TextError, "text_empty"),
        ({"text": "word " * 1001}, TextError, "text_too_long"),
        ({"voice": "nobody"}, OptionError, "voice_unknown"),
        ({"speed": 7}, OptionError, "speed_range"),
        ({"speed": "fast"}, OptionError, "bad_number"),
    ],
)
def test_what_cannot_be_spoken_is_refused_at_once(service: Services, inputs: dict[str, Any], error: type[Exception], code: str) -> None:
    opened = service()
    with pytest.raises(error) as caught:
        accepted(opened, **inputs)
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert opened.jobs.of("ada") == []


def test_the_text_is_in_no_log(service: Services, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    opened = service()
    made(opened)
    given = VideoInputs(None, PORTRAIT, text=TEXT)
    assert "Zanzibar" not in f"{given!r}"
    with speech_server() as server:
        opened = service(speech_url=server.url, speech_key=KEY, speech_voices=("broken",))
        assert made(opened, voice="service-broken").state == "failed"
    assert caplog.text
    assert "Zanzibar" not in caplog.text


def test_a_cancelled_job_speaks_no_further(service: Services) -> None:
    with speech_server() as server:
        opened = service(speech_url=server.url, speech_key=KEY, speech_voices=("stalling",))
        job = accepted(opened, voice="service-stalling", text="One sentence. Another one. " * 20)
        wait_for(lambda: opened.jobs.get(job.id, "ada").stage == "speech" and server.requests)
        opened.jobs.cancel(job.id, "ada")
        server.go_on.set()
        assert asyncio.run(opened.jobs.ended(job.id, "ada")).state == "cancelled"
        assert len(server.requests) < 5
