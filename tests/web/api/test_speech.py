"""POST /v1/audio/speech with the official client of OpenAI's interface, and with clients that are not so good."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest

from core.service import spoken_sounds
from core.studio import Studio
from tests.support.serving import KEY, OTHER_KEY, Serving, serving, wait_for
from tests.support.speech_server import KEY as SERVICE_KEY
from tests.support.speech_server import SpeechServer, speech_server

TEXT = "Good morning. This is a test."
VOICE = "espeak-en-us"
LONG = "This sentence is said again and again. " * 100


@pytest.fixture(scope="module")
def service() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


@pytest.fixture(scope="module")
def server(studio: Studio, service: SpeechServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    voices = "alloy,busy,broken,endless,stalling"
    settings = {"speech_url": service.url, "speech_key": SERVICE_KEY, "speech_voices": voices}
    with serving(studio, tmp_path_factory.mktemp("server"), **settings) as server:
        yield server


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0, http_client=httpx.Client(trust_env=False)) as client:
        yield client


def duration_s(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as file:
        return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


def speak(client: openai.OpenAI, **options: Any) -> bytes:
    given: Any = {"model": "tts-1", "voice": VOICE, "input": TEXT, **options}
    return client.audio.speech.create(**given).content


def test_the_official_client_is_spoken_to(client: openai.OpenAI) -> None:
    raw = speak(client, response_format="pcm")
    samples = np.frombuffer(raw, "<i2")
    length_s = len(samples) / 24_000
    assert 1.0 < length_s < 4.0
    assert np.abs(samples).max() > 1000
    wav, mp3 = speak(client, response_format="wav"), speak(client)  # mp3 unless it is said otherwise
    assert wav[:4] == b"RIFF"
    assert abs(duration_s(wav) - length_s) < 0.02
    assert abs(duration_s(mp3) - length_s) < 0.15
    assert len(mp3) < len(wav) / 3
    assert len(speak(client, response_format="pcm", speed=2.0)) < 0.7 * len(raw)


def test_it_comes_while_the_rest_is_spoken(client: openai.OpenAI, server: Serving, service: SpeechServer) -> None:
    service.go_on.clear()
    with client.audio.speech.with_streaming_response.create(
        model="x", voice="service-stalling", input="A sentence that is long enough to be heard in pieces.", response_format="pcm"
    ) as answer:
        assert answer.headers["content-type"] == "audio/pcm"
        assert answer.headers["transfer-encoding"] == "chunked"
        pieces = answer.iter_bytes(1000)
        assert next(pieces)
        service.go_on.set()
        assert sum(map(len, pieces)) > 1000


@pytest.mark.parametrize(
    ("options", "kind", "parameter", "said"),
    [
        ({"voice": "alloy"}, openai.BadRequestError, "voice", "There is no voice 'alloy'. The command line's --list_voices and"),
        ({"response_format": "opus"}, openai.BadRequestError, "response_format", "'mp3', 'wav' or 'pcm'"),
        ({"input": ""}, openai.BadRequestError, "input", "The text is empty."),
        ({"input": "x" * 5001}, openai.BadRequestError, "input", "At most 5000"),
        ({"speed": 4.0}, openai.BadRequestError, "speed", "between 0.5 and 2"),
        ({"input": 7}, openai.BadRequestError, "input", "string"),
        ({"voice": "service-broken"}, openai.InternalServerError, None, "answered 500"),
        ({"voice": "service-busy"}, openai.InternalServerError, None, "too much to do"),
    ],
)
def test_errors_have_the_shape_that_it_knows(
    client: openai.OpenAI, options: dict[str, Any], kind: type[openai.APIStatusError], parameter: str | None, said: str
) -> None:
    with pytest.raises(kind) as caught:
        speak(client, **options)
    assert said in caught.value.message
    assert caught.value.param == parameter
    assert caught.value.type == ("server_error" if caught.value.status_code >= 500 else "invalid_request_error")


def test_a_wrong_key_is_one(server: Serving) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0, http_client=httpx.Client(trust_env=False)) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            speak(client)
    assert caught.value.code == "invalid_api_key"


def unread(server: Serving) -> socket.socket:
    """Asks for a long speech, and reads nothing of it."""
    url = f"{server.url}/v1/audio/speech"
    body = {"input": LONG, "voice": VOICE, "response_format": "pcm"}
    request = httpx.Request("POST", url, headers={"X-API-Key": OTHER_KEY}, json=body)
    head = b"".join(b"%s: %s\r\n" % pair for pair in request.headers.raw)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(server.address)
    connection.sendall(b"POST /v1/audio/speech HTTP/1.1\r\n" + head + b"\r\n" + request.read())
    return connection


def test_who_does_not_read_holds_no_place_for_long(server: Serving, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spoken_sounds, "AHEAD_BYTES", 100_000)
    limit = server.context.service.sounds._limit
    readers = [unread(server) for _ in range(2)]
    try:
        wait_for(lambda: limit.taken == 2)
        answer = httpx.post(
            f"{server.url}/v1/audio/speech", headers={"X-API-Key": OTHER_KEY}, json={"input": TEXT, "voice": VOICE}, trust_env=False
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(answer.headers["retry-after"]) > 0
        assert speak(client)  # another owner is served meanwhile
    finally:
        for reader in readers:
            reader.close()
    wait_for(lambda: limit.taken == 0)  # who is gone is not spoken to


def test_who_stays_and_does_not_read_is_left(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spoken_sounds, "AHEAD_BYTES", 100_000)
    monkeypatch.setattr(spoken_sounds, "READER_S", 0.2)
    limit = server.context.service.sounds._limit
    with unread(server):
        wait_for(lambda: limit.taken == 1)
        wait_for(lambda: limit.taken == 0)


def test_who_goes_away_before_the_first_piece_ends_the_work(server: Serving, service: SpeechServer) -> None:
    service.go_on.clear()
    limit = server.context.service.sounds._limit
    asked = len(service.requests)
    body = {"input": "Hm.", "voice": "service-stalling", "response_format": "pcm"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/audio/speech", headers={"X-API-Key": KEY}, json=body, trust_env=False, timeout=0.5)
    assert len(service.requests) == asked + 1
    service.go_on.set()
    wait_for(lambda: limit.taken == 0)


def test_the_text_is_in_no_log(client: openai.OpenAI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "core")
    speak(client, input="Nothing of Zanzibar.")
    with pytest.raises(openai.BadRequestError):
        speak(client, input="<speak>Nothing of Zanzibar.")
    assert "Zanzibar" not in caplog.text
