"""espeak-ng's voices, by the real library."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from core.errors import Cancelled, EngineUnavailable
from core.speech_synthesis import espeak_library
from core.speech_synthesis.base import Speech
from core.speech_synthesis.espeak import Espeak
from core.web.pages.voices import sample_sentence


def say(espeak: Espeak, text: str, language: str, speed: float = 1.0) -> list[Speech]:
    voice = next(voice for voice in espeak.voices if voice.language == language)
    return list(espeak.speak(text, voice, speed, threading.Event()))


def test_there_are_a_hundred_languages(espeak: Espeak) -> None:
    ids = [voice.id for voice in espeak.voices]
    assert len(ids) == len(set(ids)) >= 100
    assert {"espeak-de", "espeak-en-us", "espeak-fr", "espeak-pl", "espeak-zh"} <= set(ids)
    assert not any(voice.natural for voice in espeak.voices)


def test_every_voice_that_is_listed_says_its_sample(espeak: Espeak) -> None:
    silent = [voice.id for voice in espeak.voices if not list(espeak.speak(sample_sentence(voice), voice, 2.0, threading.Event()))]
    assert silent == []


@pytest.mark.parametrize(
    ("language", "text"), [("de", "Guten Tag, ich heiße Ada. Das macht 12,50."), ("pl", "Dzień dobry."),
     ("el", "Καλημέρα σας."), ("ru", "Привет, мир.")]
)  # fmt: skip
def test_words_have_their_times(espeak: Espeak, language: str, text: str) -> None:
    (speech,) = say(espeak, text, language)
    assert [word.text for word in speech.words] == text.split()
    assert all(word.start_s < word.end_s for word in speech.words)
    assert speech.words[-1].end_s == pytest.approx(speech.duration_s)
    assert np.abs(speech.samples).max() > 0.1


def test_speed_changes_the_length_and_is_forgotten_afterwards(espeak: Espeak) -> None:
    (usual,), (fast,), (again,) = (say(espeak, "Das ist ein Satz.", "de", speed) for speed in (1.0, 2.0, 1.0))
    assert fast.duration_s < 0.7 * usual.duration_s
    assert again.duration_s == pytest.approx(usual.duration_s, rel=0.01)


def test_codes_of_phones_and_tags_are_read_as_text(espeak: Espeak) -> None:
    for text in ("Das [[h@l'oU]] Wort.", "Das <break time='9s'/> Wort."):
        (speech,) = say(espeak, text, "de")
        assert speech.duration_s > 1.3 * say(espeak, "Das Wort.", "de")[0].duration_s
        assert speech.duration_s < 8


def test_nothing_to_say_is_nothing(espeak: Espeak) -> None:
    assert say(espeak, "…", "de") == []


def test_a_cancelled_text_is_not_spoken(espeak: Espeak) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        list(espeak.speak("Nein.", espeak.voices[0], 1.0, cancel))


def test_two_threads_do_not_mix_their_sentences(espeak: Espeak) -> None:
    alone = {
        text: say(espeak, text, language)[0].duration_s for text, language in (("Guten Abend zusammen.", "de"), ("Good evening.", "en-us"))
    }
    wrong: list[str] = []

    def check(text: str, language: str) -> None:
        for _ in range(5):
            (speech,) = say(espeak, text, language)
            if speech.duration_s != pytest.approx(alone[text], rel=0.01) or [word.text for word in speech.words] != text.split():
                wrong.append(text)

    threads = [threading.Thread(target=check, args=each) for each in (("Guten Abend zusammen.", "de"), ("Good evening.", "en-us"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_unknown_language_and_a_missing_library_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailable, match="'qq'"):
        espeak_library.espeak_library().read("a", "qq", 1.0, threading.Event())
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    monkeypatch.setattr(espeak_library, "has_system_library", lambda: False)
    monkeypatch.setattr(espeak_library.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(EngineUnavailable, match="setup.sh speech"):
        espeak_library.EspeakLibrary()
