"""What is said into the microphone, recognised by a real server with OpenAI's protocol: bounded, failing in clear words, and in no log."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from pydantic import SecretStr

from core.errors import AudioError, BusyError, EngineUnavailable, TalkingHeadError
from core.service import speech_recognition
from core.service.errors import TooMany
from core.service.speech_recognition import SpeechRecognition
from core.settings import Settings
from tests.support.paths import SPEECH
from tests.support.recognition_server import KEY, WORDS, RecognitionServer, recognition_server

RATE_HZ = 48_000


@pytest.fixture(scope="module")
def running() -> Iterator[RecognitionServer]:
    with recognition_server() as running:
        yield running


@pytest.fixture
def server(running: RecognitionServer) -> RecognitionServer:
    running.hears = WORDS
    running.requests.clear()
    return running


def recognition_of(server: RecognitionServer, **more: Any) -> SpeechRecognition:
    usual = {"recognition_url": server.url, "recognition_key": SecretStr(KEY), "recognition_model": "hears"}
    return SpeechRecognition(Settings(**{**usual, **more}))


def recognised(server: RecognitionServer, recording: bytes, language: str = "en-US", **more: Any) -> str:
    recognition = recognition_of(server, **more)
    try:
        return asyncio.run(recognition.recognise(recording, language, "ada"))
    finally:
        recognition.close()


def webm(seconds: float) -> bytes:
    """A tone, as a browser's recorder writes it."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        samples = (8000 * np.sin(np.arange(round(seconds * RATE_HZ)) * 2 * np.pi * 220 / RATE_HZ)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def wav(seconds: float, rate_hz: int = 8000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(seconds * rate_hz), np.int16), rate_hz, format="WAV")
    return file.getvalue()


def test_the_service_gets_the_sound_alone_and_says_the_words(server: RecognitionServer) -> None:
    assert recognised(server, webm(1.0)) == WORDS
    request = server.requests[-1]
    assert (request["path"], request["model"], request["language"]) == ("/v1/audio/transcriptions", "hears", "en")
    assert request["rate_hz"] == 16_000
    assert abs(len(request["samples"]) / 16_000 - 1.0) < 0.1
    assert np.abs(request["samples"]).max() > 4000
    recognised(server, SPEECH.read_bytes(), "")
    assert "language" not in server.requests[-1]
    server.hears = "  Two\x00 lines\n<b>of it</b>  "
    assert recognised(server, webm(0.5)) == "Two lines\n<b>of it</b>"
    server.hears = "word " * 2000
    assert len(recognised(server, webm(0.5))) == 4000


def test_what_is_no_speech_is_not_sent(server: RecognitionServer) -> None:
    for recording, code in (
        (b"", "file_empty"), (b"GIF89a" + bytes(100), "recording_is_photo"), (bytes(2**20 + 1), "upload_too_large"),
        (wav(61.0), "recording_too_long"),
    ):  # fmt: skip
        with pytest.raises(AudioError) as refused:
            recognised(server, recording)
        assert refused.value.code == code
    assert recognised(server, wav(0.05)) == ""
    assert server.requests == []


@pytest.mark.parametrize(
    ("hears", "said"),
    [
        ("broken", "answered 500: The server had an error."),
        ("strange", "answered 400."),
        ("dropping", "broke off"),
        ("wordless", "sent something other than words."),
        ("endless", "sent more than 256 KiB for one recording."),
    ],
)
def test_failures_are_told_and_hold_nothing_of_what_was_said(
    server: RecognitionServer, caplog: pytest.LogCaptureFixture, hears: str, said: str
) -> None:
    server.hears = hears
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EngineUnavailable, match="The speech recognition") as failed:
        recognised(server, webm(0.5))
    assert (failed.value.code, said in failed.value.message) == ("recognition_service_failed", True)
    assert KEY not in str(failed.value) + caplog.text


def test_what_is_said_is_in_no_log(server: RecognitionServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert recognised(server, webm(0.5)) == WORDS
    assert WORDS not in caplog.text


def test_the_server_of_these_tests_speaks_the_protocol_that_openais_client_knows(server: RecognitionServer) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        assert client.audio.transcriptions.create(model="hears", file=("speech.wav", wav(0.5)), language="en").text == WORDS
        server.hears = "busy"
        with pytest.raises(openai.RateLimitError):
            client.audio.transcriptions.create(model="hears", file=("speech.wav", wav(0.5)))


def test_a_wrong_key_a_busy_service_and_none_at_all(server: RecognitionServer) -> None:
    with pytest.raises(EngineUnavailable, match="refused the key"):
        recognised(server, webm(0.5), recognition_key=SecretStr("wrong"))
    server.hears = "busy"
    with pytest.raises(BusyError) as busy:
        recognised(server, webm(0.5))
    assert (busy.value.code, busy.value.parameters) == ("recognition_busy", {"retry_after_s": 7})
    server.hears = WORDS
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        recognised(server, webm(0.5), recognition_url="http://127.0.0.1:1/v1")
    with pytest.raises(TalkingHeadError) as unset:
        recognised(server, webm(0.5), recognition_url=None)
    assert unset.value.code == "recognition_not_set"


def test_a_service_that_hangs_holds_few_and_for_a_while_only(server: RecognitionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hears = "stalling"
    with pytest.raises(EngineUnavailable, match="ReadTimeout"):
        recognised(server, webm(0.5), recognition_timeout_s=0.1)
    monkeypatch.setattr(speech_recognition, "OWNER_AT_ONCE", 1)
    recognition = recognition_of(server)

    async def many() -> None:
        first = asyncio.ensure_future(recognition.recognise(webm(0.5), "", "ada"))
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await recognition.recognise(webm(0.5), "", "ada")
        server.go_on.set()
        assert await first == WORDS

    asyncio.run(many())
    limited = recognition_of(server, chats_per_minute=1)
    server.hears = WORDS

    async def often() -> None:
        await limited.recognise(webm(0.5), "", "ada")
        with pytest.raises(TooMany):
            await limited.recognise(webm(0.5), "", "ada")
        await limited.recognise(webm(0.5), "", "bob")

    asyncio.run(often())
    recognition.close()
    limited.close()
