"""Jobs of recordings have captions where there is a recogniser: found while the video is made, which none of their failures spoil."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import OptionError
from core.media.sound_file import wav_file
from core.notices import notice
from core.service.job_views import JobView
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.speech_recognition import sphinx
from core.studio import Studio
from core.types import SAMPLE_RATE_HZ
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.recognition_server import KEY, RecognitionServer, recognition_server
from tests.support.serving import wait_for

LINES = ("One two three.",)
FAILED = notice("captions_failed")
Services = Callable[..., Service]


@pytest.fixture
def server() -> Iterator[RecognitionServer]:
    with recognition_server() as server:
        server.hears = LINES[0]
        yield server


@pytest.fixture
def services(open_again: Callable[..., Studio]) -> Iterator[Services]:
    opened: list[Service] = []

    def again(**settings: Any) -> Service:
        studio = open_again(serving=True, **{"caption_recordings": True, **settings})
        outputs = OutputFolder(studio.settings.output_dir / "videos", 3600.0)
        outputs.prepare()
        opened.append(Service(studio, outputs))
        opened[-1].start()
        return opened[-1]

    yield again
    for service in opened:
        service.close(0.0)


@pytest.fixture
def service(services: Services, server: RecognitionServer) -> Service:
    return services(recognition_url=server.url, recognition_key=KEY)


def begun(service: Service, kind: Any = "video", **inputs: Any) -> JobView:
    given = VideoInputs(**{"audio": SPEECH, "image": PORTRAIT, "options": {"size": 128}, **inputs})
    return asyncio.run(service.requests.video(given, "ada", kind=kind))


def ended(service: Service, kind: Any = "video", **inputs: Any) -> JobView:
    job = begun(service, kind, **inputs)
    wait_for(lambda: service.jobs.get(job.id, "ada").ended)
    return service.jobs.get(job.id, "ada")


def lines(job: JobView) -> list[tuple[str, ...]]:
    assert job.state == "done", job.error
    return [caption.lines for caption in job.captions]


def test_a_recording_has_captions_unless_they_are_not_wanted(service: Service, server: RecognitionServer) -> None:
    assert lines(ended(service, captions=False)) == []
    assert lines(ended(service, "idle")) == []
    assert server.requests == [], "nobody wanted the words"
    assert lines(ended(service)) == [LINES]
    again = begun(service)
    assert (lines(again), again.info is not None and again.info.cache_hit) == ([LINES], True), "done at once"
    assert len(server.requests) == 1, "words are remembered"


def test_where_the_deployment_does_not_want_them_they_have_to_be_asked_for(services: Services, server: RecognitionServer) -> None:
    service = services(recognition_url=server.url, recognition_key=KEY, caption_recordings=False)
    assert lines(ended(service)) == []
    assert lines(ended(service, captions=True)) == [LINES]


def test_without_a_recogniser_there_are_none_and_asking_for_them_says_so(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx, "is_installed", lambda: False)
    service = services()
    assert lines(ended(service)) == []
    with pytest.raises(OptionError) as caught:
        begun(service, captions=True)
    assert caught.value.code == "captions_no_recogniser"


def test_with_the_recogniser_of_this_machine(services: Services) -> None:
    shown = lines(ended(services()))
    assert shown
    assert all(line for caption in shown for line in caption)


def test_the_video_is_made_while_the_words_are_found(service: Service, server: RecognitionServer, tmp_path: Path) -> None:
    server.hears = "stalling"
    job = begun(service)
    wait_for(lambda: service.jobs.get(job.id, "ada").stage == "finishing")
    assert len(server.requests) == 1, "they are being found"
    wait_for(lambda: service.jobs.get(job.id, "ada").watchable is not None)
    waits = service.jobs.get(job.id, "ada")
    assert (waits.state, waits.video, waits.info) == ("running", None, None), "it is not done"
    assert waits.watchable is not None
    assert waits.watchable.path == asyncio.run(service.downloads.file(job.id, "ada", None))
    assert waits.watchable.path.stat().st_size > 1000
    moved = waits.watchable.path.rename(tmp_path / "away.mp4")
    assert service.jobs.get(job.id, "ada").watchable is None, "as on another machine, which does not have it yet"
    moved.rename(waits.watchable.path)
    server.go_on.set()
    wait_for(lambda: service.jobs.get(job.id, "ada").ended)
    done = service.jobs.get(job.id, "ada")
    assert lines(done) == [], "what the service says at last has no times"
    assert done.info is not None
    assert done.info.warnings == (FAILED,)


def test_it_can_be_cancelled_while_only_the_words_are_missing(service: Service, server: RecognitionServer) -> None:
    server.hears = "stalling"
    job = begun(service)
    wait_for(lambda: service.jobs.get(job.id, "ada").stage == "finishing")
    service.jobs.cancel(job.id, "ada")
    wait_for(lambda: service.jobs.get(job.id, "ada").ended)
    assert service.jobs.get(job.id, "ada").state == "cancelled"
    assert not server.go_on.is_set(), "nobody waited for the service"


def test_a_stream_whose_reader_left_with_all_of_it_is_done(service: Service, server: RecognitionServer) -> None:
    """The words are found no more: `POST /stream` forgets its job then, and a complete stream does not count as cancelled."""
    server.hears = "stalling"
    told: list[str] = []
    service.when_job_ends(lambda record: told.append(record.state))
    job = begun(service, "stream")
    pieces = service.jobs.handle(job.id).result(30)
    assert list(pieces)
    assert pieces.job.wait(30)
    service.jobs.cancel(job.id, "ada")
    wait_for(lambda: told)
    assert told == ["done"]
    assert lines(service.jobs.get(job.id, "ada")) == []
    assert not server.go_on.is_set(), "nobody waited for the service"


@pytest.mark.parametrize("asked", [None, True])
def test_where_the_recogniser_fails_the_video_is_there_and_says_so(service: Service, server: RecognitionServer, asked: Any) -> None:
    server.hears = "dropping"
    job = ended(service, captions=asked)
    assert lines(job) == []
    assert job.info is not None
    assert job.info.warnings == (FAILED,)
    server.hears = LINES[0]
    assert lines(ended(service, captions=asked)) == [LINES], "it is tried again"


def test_in_the_picture_they_are_known_first(service: Service, server: RecognitionServer) -> None:
    plain, burned = ended(service, captions=False), ended(service, options={"size": 128, "burn_captions": True})
    assert (lines(burned), burned.captions_burned) == ([LINES], True)
    assert plain.video is not None
    assert burned.video is not None
    assert burned.video.read_bytes() != plain.video.read_bytes()
    server.hears = "dropping"
    failed = ended(service, audio=_tone(service), options={"size": 128, "burn_captions": True})
    assert failed.error is not None
    assert failed.error.code == "recognition_service_failed"


def test_a_stream_has_them_too(service: Service) -> None:
    assert lines(ended(service, "stream")) == [LINES]


def _tone(service: Service) -> Path:
    """A recording that was not heard before."""
    import numpy as np

    tone = np.sin(np.arange(SAMPLE_RATE_HZ) / 9).astype(np.float32)
    return service.outputs.new_file("tone.wav", wav_file(tone, SAMPLE_RATE_HZ), "ada")
