"""A transcript given with a job or in a list: aligned before the video is made; what cannot be aligned is told, and its video is made."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.batch.job_list import BatchJob
from core.batch.requests import JobRequests
from core.errors import OptionError
from core.given_speech import GivenSpeech
from core.lite.mouth import APERTURE, MouthTracker
from core.lite.phones import TABLE, expand
from core.media.audio import load_audio
from core.media.sound_file import wav_file
from core.notices import notice
from core.request import MAX_TRANSCRIPT_CHARS
from core.service.job_views import JobView
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.service.transcripts import with_transcript
from core.settings import Settings
from core.speech_synthesis.recording import spoken
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio
from core.types import FPS, SAMPLE_RATE_HZ, Audio, Phone
from tests.support.paths import PORTRAIT, ROOT
from tests.support.serving import wait_for

DATA = ROOT / "tests/data"
TEXT = "My brother Peter moves five big boxes to the pub."
UNLIKE = notice("transcript_unlike")
VOICES = ("af_heart", "espeak-en-us")


@pytest.fixture(scope="module")
def recordings(settings: Settings) -> dict[str, Audio]:
    """By voice: the text of the tests, and a German one."""
    with contextlib.closing(Speaker(settings, None)) as speaker:
        made = {voice: spoken(speaker, settings, TEXT, speaker.voice(voice))[0] for voice in VOICES}
        german = "Mein Bruder bleibt am Montag bei Oma Paula, und wir packen unsere Koffer."
        made["espeak-de"] = spoken(speaker, settings, german, speaker.voice("espeak-de"))[0]
    return made


@pytest.fixture
def service(open_again: Callable[..., Studio]) -> Iterator[Service]:
    studio = open_again(serving=True)
    outputs = OutputFolder(studio.settings.output_dir / "videos", 3600.0)
    outputs.prepare()
    service = Service(studio, outputs)
    service.start()
    yield service
    service.close(0.0)


def asked(service: Service, audio: Audio, transcript: str, **options: Any) -> JobView:
    recording = service.outputs.new_file("speech.wav", wav_file(audio.samples, SAMPLE_RATE_HZ), "ada")
    given = VideoInputs(audio=recording, image=PORTRAIT, options={"size": 96, "transcript": transcript, **options}, captions=True)
    job = asyncio.run(service.requests.video(given, "ada", kind="video"))
    wait_for(lambda: service.jobs.get(job.id, "ada").ended)
    return service.jobs.get(job.id, "ada")


def warnings(job: JobView) -> tuple[str, ...]:
    assert job.state == "done", job.error
    assert job.info is not None
    return job.info.warnings


def closures(phones: tuple[Phone, ...], audio: Audio) -> tuple[int, float, float]:
    """How many p, b and m the phones have; of these, and of f and v, the shares that the mouth's rows meet."""
    tracker = MouthTracker()
    tracker.expect(phones)
    opened = np.concatenate((tracker.push(audio.samples), tracker.flush()))[:, APERTURE]
    widest = np.percentile(opened, 95)

    def met(groups: tuple[str, ...], least: float) -> list[bool]:
        parts = expand([(phone.ipa, phone.start_s, phone.end_s) for phone in phones])
        times = [(start_s, end_s) for ipa, start_s, end_s in parts if TABLE[ipa].group in groups]
        return [bool((opened[max(0, int(a * FPS) - 1) : int(np.ceil(b * FPS)) + 1] <= least * widest).any()) for a, b in times]

    lips, teeth = met(("p", "b", "m"), 0.1), met(("labiodental",), 0.2)
    return len(lips), float(np.mean(lips)), float(np.mean(teeth))


def aligned(audio: Audio, transcript: str) -> Audio:
    """Nothing is known of it but its sound."""
    return with_transcript(Audio(audio.samples, audio.original, audio.rate_hz, audio.channels), transcript, threading.Event())


@pytest.mark.parametrize("voice", VOICES)
def test_lips_meet_where_the_transcript_says_so(recordings: dict[str, Audio], voice: str) -> None:
    audio = recordings[voice]
    heard = aligned(audio, TEXT)
    assert heard.warnings == ()
    n, lips, teeth = closures(heard.phones, audio)
    assert n == 8
    assert (lips, teeth) == (1.0, 1.0)
    known = [(phone.ipa, phone.start_s) for phone in audio.phones if phone.ipa in ("p", "b", "m")]
    found = [(phone.ipa, phone.start_s) for phone in heard.phones if phone.ipa in ("p", "b", "m")]
    assert [ipa for ipa, _ in found] == [ipa for ipa, _ in known]
    assert np.median([abs(a - b) for (_, a), (_, b) in zip(found, known, strict=True)]) <= 0.05


def test_phones_are_where_another_synthesiser_says(settings: Settings) -> None:
    """A voice of diphones from the nineties, whose phones' times are known."""
    audio = load_audio((DATA / "kal16_lips.flac").read_bytes(), settings)
    heard = aligned(audio, "My mother put a map above the lamp. Five wolves ate soup.")
    assert heard.warnings == ()
    told = json.loads((DATA / "kal16_lips.json").read_text(encoding="utf-8"))
    both = [
        [(ipa, start_s) for ipa, start_s in phones if ipa in ("p", "m", "f", "w")]
        for phones in (((ipa, start_s) for ipa, start_s, *_ in told), ((phone.ipa, phone.start_s) for phone in heard.phones))
    ]
    assert [ipa for ipa, _ in both[0]] == [ipa for ipa, _ in both[1]]
    apart = [abs(a - b) for (_, a), (_, b) in zip(*both, strict=True)]
    assert (np.median(apart) <= 0.03, max(apart) <= 0.1) == (True, True), apart


def test_a_job_draws_the_words_and_has_captions_of_them(service: Service, recordings: dict[str, Audio]) -> None:
    audio = recordings["espeak-en-us"]
    plain, aligned = asked(service, audio, ""), asked(service, audio, TEXT)
    assert warnings(aligned) == warnings(plain)
    assert " ".join(line for caption in aligned.captions for line in caption.lines) == TEXT
    assert max(caption.end_s for caption in aligned.captions) <= audio.duration_s
    assert plain.video is not None
    assert aligned.video is not None
    assert aligned.video.read_bytes() != plain.video.read_bytes()


@pytest.mark.parametrize(
    "transcript",
    ["The quick brown fox jumps over a lazy dog while seven wizards play.", TEXT * 40, "?! ... —", "\x00\x1b[2J <s> </s> <sil> ph_AA"],
    ids=["other words", "more than fits", "nothing that is spoken", "hostile"],
)  # fmt: skip
def test_what_cannot_be_aligned_is_said_and_the_video_is_made_of_the_sound(
    service: Service, recordings: dict[str, Audio], transcript: str
) -> None:
    job = asked(service, recordings["espeak-en-us"], transcript)
    if job.error is not None:
        assert job.error.code == "transcript_unknown_words"
        return
    assert UNLIKE in warnings(job)


def test_another_language_is_told_as_such(service: Service, recordings: dict[str, Audio]) -> None:
    german = "Mein Bruder bleibt am Montag bei Oma Paula, und wir packen unsere Koffer."
    assert UNLIKE in warnings(asked(service, recordings["espeak-de"], german))


def test_a_transcript_that_is_too_long_is_refused_before_there_is_a_job(service: Service, recordings: dict[str, Audio]) -> None:
    with pytest.raises(OptionError) as caught:
        asked(service, recordings["espeak-en-us"], "a" * (MAX_TRANSCRIPT_CHARS + 1))
    assert caught.value.code == "transcript_too_long"
    assert service.jobs.of("ada") == []


@pytest.mark.parametrize(("transcript", "fits"), [(TEXT, True), ("The quick brown fox jumps over a lazy dog all day.", False)])
def test_in_a_list(studio: Studio, recordings: dict[str, Audio], tmp_path: Path, transcript: str, fits: bool) -> None:
    audio = recordings["espeak-en-us"]
    recording = tmp_path / "speech.wav"
    recording.write_bytes(wav_file(audio.samples, SAMPLE_RATE_HZ))
    job = BatchJob(1, GivenSpeech(recording), PORTRAIT, tmp_path / "video.mp4", "lite", {"size": 96, "transcript": transcript})
    with contextlib.closing(Speaker(studio.settings, None)) as speaker:
        requests = JobRequests(studio, studio.settings, speaker, threading.Event(), lambda progress: None)
        requests.check(job)
        request = requests.make(job)
    assert isinstance(request.audio, Audio)
    assert bool(request.audio.phones) is fits
    assert [word.text for word in request.audio.words] == (transcript.split() if fits else [])
    assert (UNLIKE in request.audio.warnings) is not fits
    assert request.options.transcript == "", "it is aligned"
