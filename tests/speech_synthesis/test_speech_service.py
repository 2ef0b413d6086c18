"""Voices of a speech service, over a real connection: what is sent, what is heard, and every way in which it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from core.errors import BusyError, Cancelled, EngineUnavailable
from core.speech_synthesis import speech_service
from core.speech_synthesis.base import Speech, joined
from core.speech_synthesis.speech_service import PIECE_SAMPLES, RATE_HZ, SoundFormat, SpeechService
from tests.support.serving import wait_for
from tests.support.speech_server import KEY, SpeechServer, speech_server, tone

VOICES = ("alloy", "busy", "broken", "strange", "dropping", "stalling", "empty", "endless")
TEXT = "A sentence of some length, which takes a second."


@pytest.fixture(scope="module")
def server() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


def speak(server: SpeechServer, voice: str, sound_format: SoundFormat = "pcm", key: str = KEY, timeout_s: float = 20) -> list[Speech]:
    service = SpeechService(server.url + "/", key, "tts-1", VOICES, sound_format, timeout_s)
    try:
        return list(service.speak(TEXT, service.voices[VOICES.index(voice)], 1.25, threading.Event()))
    finally:
        service.close()


def test_the_request_is_that_of_the_protocol(server: SpeechServer) -> None:
    speak(server, "alloy")
    assert server.requests[-1] == {
        "model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm", "speed": 1.25, "path": "/v1/audio/speech",
        "authorization": f"Bearer {KEY}",
    }  # fmt: skip


def test_raw_samples_are_heard_while_they_arrive(server: SpeechServer) -> None:
    service = SpeechService(server.url, KEY, "tts-1", VOICES, "pcm", 20)
    server.go_on.clear()
    pieces = service.speak(TEXT, service.voices[VOICES.index("stalling")], 1.0, threading.Event())
    first = next(pieces)  # the server sends the second half only when this is here
    server.go_on.set()
    rest = list(pieces)
    service.close()
    assert len(first.samples) == PIECE_SAMPLES
    assert (first.text, {piece.text for piece in rest}) == (TEXT, {""})
    assert np.array_equal(joined([first, *rest]).samples * 32768, tone(TEXT)[: len(tone(TEXT)) // 2])


@pytest.mark.parametrize("sound_format", ["pcm", "wav", "mp3"])
def test_every_format_gives_the_same_sound(server: SpeechServer, sound_format: SoundFormat) -> None:
    speech = joined(speak(server, "alloy", sound_format))
    expected = tone(TEXT).astype(np.float32) / 32768
    assert speech.sample_rate_hz == RATE_HZ
    assert speech.text == TEXT
    assert abs(len(speech.samples) - len(expected)) <= (0 if sound_format == "pcm" else 0.1 * RATE_HZ)
    middle = slice(RATE_HZ // 4, RATE_HZ // 2)
    frequency = np.argmax(np.abs(np.fft.rfft(speech.samples[middle]))) * RATE_HZ / (RATE_HZ // 4)
    assert frequency == pytest.approx(220, abs=4)
    assert np.abs(speech.samples).max() == pytest.approx(np.abs(expected).max(), rel=0.1)


@pytest.mark.parametrize(
    ("voice", "sound_format", "told"),
    [
        ("broken", "pcm", "answered 500: The server had an error"),
        ("strange", "pcm", "answered 400."),
        ("dropping", "pcm", "broke off"),
        ("dropping", "wav", "broke off"),
        ("empty", "pcm", "no sound"),
        ("empty", "mp3", "speech service"),
        ("endless", "wav", "more than 32 MiB"),
    ],
)
def test_failures_are_told(server: SpeechServer, voice: str, sound_format: SoundFormat, told: str) -> None:
    with pytest.raises(EngineUnavailable) as failed:
        speak(server, voice, sound_format)
    assert failed.value.code == "speech_service_failed"
    assert told in str(failed.value)
    assert KEY not in str(failed.value)


def test_too_much_to_do_says_when_to_come_back(server: SpeechServer) -> None:
    with pytest.raises(BusyError) as busy:
        speak(server, "busy")
    assert (busy.value.code, busy.value.parameters) == ("speech_busy", {"retry_after_s": 7})


def test_a_wrong_key_and_an_absent_service_are_told(server: SpeechServer) -> None:
    with pytest.raises(EngineUnavailable, match="refused the key"):
        speak(server, "alloy", key="another")
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        speak(SpeechServer("http://127.0.0.1:9/v1"), "alloy")


def test_silence_of_the_service_ends_by_itself(server: SpeechServer) -> None:
    server.go_on.clear()
    with pytest.raises(EngineUnavailable, match="ReadTimeout"):
        speak(server, "stalling", timeout_s=0.2)
    server.go_on.set()


def test_a_sentence_that_trickles_in_ends_by_itself(server: SpeechServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_service, "MAX_SECONDS", 0.0)
    with pytest.raises(EngineUnavailable, match="more than 0 s"):
        speak(server, "alloy")


def test_cancelling_ends_the_request(server: SpeechServer) -> None:
    service = SpeechService(server.url, KEY, "tts-1", VOICES, "pcm", 20)
    cancel = threading.Event()
    pieces = service.speak(TEXT, service.voices[VOICES.index("endless")], 1.0, cancel)
    next(pieces)
    cancel.set()
    with pytest.raises(Cancelled):
        list(pieces)
    service.close()


def test_cancelling_is_noticed_while_the_service_says_nothing(server: SpeechServer) -> None:
    server.go_on.clear()
    service = SpeechService(server.url, KEY, "tts-1", VOICES, "wav", 30)
    cancel, ended = threading.Event(), threading.Event()

    def listen() -> None:
        with pytest.raises(Cancelled):
            list(service.speak(TEXT, service.voices[VOICES.index("stalling")], 1.0, cancel))
        ended.set()

    before = len(server.requests)
    listener = threading.Thread(target=listen)
    listener.start()
    wait_for(lambda: len(server.requests) > before)
    cancel.set()
    assert ended.wait(15), "the service goes on only after the test, and would be given up after 30 s"
    listener.join()
    service.close()
    server.go_on.set()
