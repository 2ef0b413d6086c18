"""Captions of recordings: by PocketSphinx, by a service, in jobs, and where there is no recogniser."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import Cancelled, EngineUnavailable, OptionError
from core.media.audio import load_audio
from core.service.job_views import JobView
from core.service.outputs import OutputFolder
from core.service.recorded_words import Recognition, RecordedWords
from core.service.requests import VideoInputs
from core.service.service import Service
from core.service.speech_recognition import SpeechRecognition
from core.settings import Settings
from core.speech_recognition import sphinx
from core.studio import Studio
from core.types import SAMPLE_RATE_HZ, Word
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.recognition_server import KEY, RecognitionServer, recognition_server
from tests.support.serving import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[RecognitionServer]:
    with recognition_server() as server:
        yield server


def timed_words(server: RecognitionServer, hears: str, samples: int) -> tuple[Word, ...]:
    server.hears = hears
    with closing(SpeechRecognition(Settings(recognition_url=server.url, recognition_key=KEY, recognition_timeout_s=2.0))) as service:
        return service.timed_words(np.zeros(samples, np.float32))


def test_words_of_a_recording_and_when_they_are_said() -> None:
    samples = load_audio(SPEECH, Settings()).samples
    words = sphinx.recognised(samples, threading.Event())
    assert len(words) >= 3
    assert all(word.text and word.text[0].isalpha() and "(" not in word.text for word in words)
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[-1] <= len(samples) / SAMPLE_RATE_HZ + 0.05
    loud = [np.abs(samples[int(word.start_s * SAMPLE_RATE_HZ) : int(word.end_s * SAMPLE_RATE_HZ)]).mean() for word in words]
    assert np.mean(loud) > np.abs(samples).mean() * 0.9, "words lie where something is heard"


def test_a_long_recording_is_cut_at_pauses() -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 0.1, 15 * SAMPLE_RATE_HZ).astype(np.float32)
    samples[9 * SAMPLE_RATE_HZ : 10 * SAMPLE_RATE_HZ] = 0
    assert 9 * SAMPLE_RATE_HZ < sphinx._part(samples) < 10 * SAMPLE_RATE_HZ
    assert sphinx._part(samples[: 5 * SAMPLE_RATE_HZ]) == 5 * SAMPLE_RATE_HZ


def test_it_ends_when_it_is_cancelled() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        sphinx.recognised(np.zeros(SAMPLE_RATE_HZ, np.float32), cancel)
    stuck = threading.Event()
    recognition = Recognition(lambda ended: (stuck.wait(30), ())[1], threading.Event())
    recognition.cancel()
    with pytest.raises(Cancelled):
        recognition.words()
    stuck.set()


def test_words_by_a_service(server: RecognitionServer) -> None:
    words = timed_words(server, "Good evening, <b>Ada</b>.", SAMPLE_RATE_HZ // 2)
    assert [word.text for word in words] == ["Good", "evening,", "<b>Ada</b>."]
    assert [(word.start_s, word.end_s) for word in words] == [(0.2, 0.4), (0.4, 0.5), (0.5, 0.5)], "within the recording"
    sent = server.requests[-1]
    assert (sent["response_format"], sent["timestamp_granularities[]"], sent["rate_hz"]) == ("verbose_json", "word", SAMPLE_RATE_HZ)
    for hears in ("wordless", "dropping", "endless"):
        with pytest.raises(EngineUnavailable):
            timed_words(server, hears, SAMPLE_RATE_HZ)


def test_without_a_recogniser_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx, "is_installed", lambda: False)
    recorded = RecordedWords(SpeechRecognition(Settings()))
    assert not recorded.available
    with pytest.raises(OptionError, match="requirements-recognition") as caught:
        recorded.check()
    assert caught.value.code == "captions_no_recogniser"


@pytest.fixture
def service(server: RecognitionServer, open_again: Callable[..., Studio]) -> Iterator[Service]:
    server.hears = "One two three."
    studio = open_again(serving=True, recognition_url=server.url, recognition_key=KEY)
    outputs = OutputFolder(studio.settings.output_dir / "videos", 3600.0)
    outputs.prepare()
    service = Service(studio, outputs)
    service.start()
    yield service
    service.close(0.0)


def ended(service: Service, kind: Any = "video", **inputs: Any) -> JobView:
    given = VideoInputs(**{"audio": SPEECH, "image": PORTRAIT, "options": {"size": 128}, **inputs})
    job = asyncio.run(service.requests.video(given, "ada", kind=kind))
    wait_for(lambda: service.jobs.get(job.id, "ada").ended)
    return service.jobs.get(job.id, "ada")


def test_captions_of_a_recording_come_where_they_are_asked_for(service: Service, server: RecognitionServer, tmp_path: Path) -> None:
    before = len(server.requests)
    assert ended(service).captions == ()
    assert len(server.requests) == before, "nobody asked for the words"
    job = ended(service, captions=True)
    assert [caption.lines for caption in job.captions] == [("One two three.",)], job.error
    burned = ended(service, options={"size": 128, "burn_captions": True})
    assert burned.state == "done"
    assert burned.captions_burned
    assert burned.video is not None
    assert job.video is not None
    assert burned.video.read_bytes() != job.video.read_bytes()
    server.hears = "dropping"
    failed = ended(service, captions=True)
    assert failed.error is not None
    assert failed.error.code == "recognition_service_failed"
