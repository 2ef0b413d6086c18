"""The phones of synthesised speech: they cover it from start to end, in order, and travel with it."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from core.lite.phones import TABLE, expand
from core.optimization.cache_folder import CacheFolder
from core.settings import Settings
from core.speech_synthesis.base import Speech, joined
from core.speech_synthesis.espeak import Espeak
from core.speech_synthesis.kokoro import JAPANESE, Kokoro
from core.speech_synthesis.phone_times import kokoro_phones, tiled
from core.speech_synthesis.recording import SpokenAudio, spoken
from core.speech_synthesis.speaker import Speaker
from core.types import Phone
from core.web.pages.voices import sample_sentence

ENGLISH = "Maybe Peter, my big brother, moves five boxes."
LIPS = ["m", "b", "p", "m", "b", "b", "m", "v", "f", "v", "b"]
"""Of its words, in order."""


def check_cover(speech: Speech) -> None:
    assert speech.phones[0].start_s == 0.0
    assert speech.phones[-1].end_s == pytest.approx(speech.duration_s)
    for before, after in zip(speech.phones, speech.phones[1:], strict=False):
        assert before.start_s < before.end_s == after.start_s
        assert before.ipa or after.ipa, "two silences"


@pytest.mark.parametrize("name", [pytest.param("kokoro", marks=pytest.mark.slow), "espeak"])
def test_every_voice_tells_phones_that_cover_its_speech(name: str, request: pytest.FixtureRequest) -> None:
    synthesiser: Kokoro | Espeak = request.getfixturevalue(name)
    some = ("en-us", "de", "fr", "ru", "hi", "cmn")
    voices = [voice for voice in synthesiser.voices if voice.language in some or (name == "kokoro" and voice.language != JAPANESE)]
    for voice in voices:
        speech = joined(synthesiser.speak(sample_sentence(voice), voice, 1.0, threading.Event()))
        check_cover(speech)
        said = [phone for phone in speech.phones if phone.ipa]
        assert len(said) > 5, voice.id
        unknown = [phone.ipa for phone in said if not any(character in TABLE for character in phone.ipa)]
        assert unknown == [], voice.id


@pytest.mark.parametrize("id", ["af_heart", pytest.param("bm_george", marks=pytest.mark.slow), "espeak-en-us"])
def test_the_lips_of_a_sentence_are_all_there(id: str, kokoro: Kokoro, espeak: Espeak) -> None:
    voice = next(voice for voice in (*kokoro.voices, *espeak.voices) if voice.id == id)
    speech = joined((espeak if id.startswith("espeak") else kokoro).speak(ENGLISH, voice, 1.0, threading.Event()))
    parts = expand([(phone.ipa, phone.start_s, phone.end_s) for phone in speech.phones])
    assert [ipa for ipa, _, _ in parts if TABLE[ipa].group in ("p", "b", "m", "labiodental")] == LIPS


def test_a_text_as_a_recording_as_a_stream_and_from_the_cache_has_the_same_phones(settings: Settings, tmp_path: Path) -> None:
    speaker = Speaker(settings, CacheFolder(tmp_path))
    voice, text = speaker.voice("espeak-en-us"), "<speak>Hello. <break time='300ms'/> Good bye.</speak>"
    audio, speech = spoken(speaker, settings, text, voice)
    assert audio.phones == speech.phones
    assert [before.end_s for before in audio.phones[:-1]] == [after.start_s for after in audio.phones[1:]]
    assert audio.phones[-1].end_s == pytest.approx(speech.duration_s)
    coming = SpokenAudio(speaker, text, voice)
    heard = np.concatenate(list(coming.steps(3200)))
    assert coming.phones == audio.phones
    assert abs(len(heard) - len(audio.samples)) <= 1


def test_silences_join_and_what_is_before_and_behind_is_silence() -> None:
    found = tiled([("", 0.1), ("m", 0.2), ("", 0.4), ("", 0.5), ("a", 0.6), ("t", 0.6)], 1.0)
    assert found == (Phone("", 0.0, 0.2), Phone("m", 0.2, 0.4), Phone("", 0.4, 0.6), Phone("t", 0.6, 1.0))
    assert tiled([], 1.0) == (Phone("", 0.0, 1.0),)


def test_the_time_of_marks_is_that_of_their_phone() -> None:
    letters = [("ˈ", 0.0), ("A", 0.1), (" ", 0.2), ("ʧ", 0.3), ("i", 0.4), ("ː", 0.5), (".", 0.6)]
    found = [("eɪ", 0.0, 0.2), ("", 0.2, 0.3), ("tʃ", 0.3, 0.4), ("iː", 0.4, 0.6), ("", 0.6, 0.7)]
    assert kokoro_phones(letters, 0.7) == tuple(Phone(*each) for each in found)
