"""A transcript beside the recording: its words and phones are found in the sound, or it is told why not."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from core.errors import OptionError
from core.lite.phones import TABLE, expand
from core.notices import notice
from core.option_checks import check_live_options
from core.request import MAX_TRANSCRIPT_CHARS, RenderOptions, Request
from core.service import transcripts
from core.service.transcripts import with_transcript
from core.settings import Settings
from core.speech_recognition import sphinx
from core.speech_synthesis.recording import spoken
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio
from core.types import Audio, Phone, Photo

TEXT = "My mother brought a map of the old harbour. Put both apples in the blue bowl!"


@pytest.fixture(scope="module")
def recording(settings: Settings) -> Audio:
    speaker = Speaker(settings, None)
    return spoken(speaker, settings, TEXT, speaker.voice("espeak-en-us"))[0]


def aligned(audio: Audio, transcript: str) -> Audio:
    return with_transcript(dataclasses.replace(audio, words=(), phones=()), transcript, threading.Event())


def middles(phones: tuple[Phone, ...], group: str) -> list[float]:
    parts = expand([(phone.ipa, phone.start_s, phone.end_s) for phone in phones])
    return [(start_s + end_s) / 2 for ipa, start_s, end_s in parts if TABLE[ipa].group == group]


def test_words_and_phones_are_found_where_they_are_said(recording: Audio) -> None:
    found = aligned(recording, TEXT)
    assert [word.text for word in found.words] == TEXT.split()
    assert found.words[-1].ends_piece
    assert found.warnings == recording.warnings
    far = [abs(word.start_s - known.start_s) for word, known in zip(found.words, recording.words, strict=True)]
    assert np.median(far) <= 0.06
    for group in ("p", "b", "m"):
        known, heard = middles(recording.phones, group), middles(found.phones, group)
        assert len(heard) == len(known) > 1
        assert np.median(np.abs(np.subtract(heard, known))) <= 0.06


def test_words_that_the_dictionary_lacks_are_pronounced_by_espeak(recording: Audio) -> None:
    found = aligned(recording, TEXT.replace("both", "booothe"))
    assert [word.text for word in found.words][10] == "booothe"


@pytest.mark.parametrize("other", ["The quick brown fox jumps over a lazy dog while seven wizards play chess.", TEXT[:40]])
def test_what_is_not_said_is_told_and_left_out(recording: Audio, other: str) -> None:
    found = aligned(recording, other)
    assert (found.words, found.phones) == ((), ())
    assert found.warnings[-1] == notice("transcript_unlike")


def test_without_espeak_unknown_words_are_named(recording: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "_pronounced", lambda words, cancel: {})
    with pytest.raises(OptionError, match="booothe") as caught:
        aligned(recording, "booothe bowl")
    assert caught.value.code == "transcript_unknown_words"


def test_without_pocketsphinx_it_is_said_what_to_install(recording: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx, "is_installed", lambda: False)
    with pytest.raises(OptionError, match=r"requirements-recognition\.txt") as caught:
        aligned(recording, TEXT)
    assert caught.value.code == "transcript_no_recogniser"


def test_bounds_and_live_sessions() -> None:
    with pytest.raises(OptionError) as caught:
        RenderOptions(transcript="a" * (MAX_TRANSCRIPT_CHARS + 1)).verify()
    assert caught.value.code == "transcript_too_long"
    with pytest.raises(OptionError, match="transcript"):
        check_live_options(RenderOptions(transcript="Hello."))


def test_the_studio_refuses_a_transcript_that_nobody_aligned(studio: Studio, portrait: Photo, short: Audio, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="not aligned"):
        studio.submit(Request(short, portrait, "lite", options=RenderOptions(transcript="Hello.")), tmp_path / "video.mp4")


def test_more_than_can_be_said_in_the_time_is_not_looked_for() -> None:
    """A long transcript of a short recording would keep the machine busy for nothing."""
    task = {"task": "align", "words": ["harbour"] * 200, "pronunciations": {"harbour": "HH AA R B ER"}}
    answer = sphinx.asked(np.zeros(16_000, np.float32), task, threading.Event())
    assert answer == {"words": [5] * 200, "phones": []}
