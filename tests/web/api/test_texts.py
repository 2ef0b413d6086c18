"""Texts in place of recordings: videos and streams of them, their captions, and the voices."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import av
import httpx
import pytest

from core.studio import Studio
from tests.support.paths import SPEECH
from tests.support.serving import OTHER_KEY, Serving, error, form, serving, wait_for
from tests.support.speech_server import KEY as SERVICE_KEY
from tests.support.speech_server import speech_server
from tests.support.streams import n_frames

TEXT = "Good morning. This is a test."
VOICE = "espeak-en-us"


def lengths(data: bytes) -> tuple[int, float]:
    """(frames, seconds of sound)"""
    with av.open(io.BytesIO(data)) as file:
        return n_frames(data), sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


def ended(client: httpx.Client, **fields: str) -> dict[str, object]:
    job = client.post("/generate?async=1", **form(None, voice=VOICE, options='{"size": 128}', **fields)).json()
    wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] in ("done", "failed"))
    told: dict[str, object] = client.get(f"/jobs/{job['id']}").json()
    return told


def test_a_text_becomes_a_video_with_captions(client: httpx.Client, server: Serving) -> None:
    job = ended(client, text=TEXT)
    assert (job["state"], job["voice"], job["captions"]) == ("done", VOICE, f"/jobs/{job['id']}/captions.vtt")
    vtt = client.get(str(job["captions"]))
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.")
    assert "Good morning." in vtt.text
    srt = client.get(f"/jobs/{job['id']}/captions.srt").text
    assert srt.startswith("1\n00:00:00,")
    n_frames, sound_s = lengths(client.get(str(job["result"])).content)
    assert n_frames == job["info"]["frames"]  # type: ignore[index]
    assert abs(n_frames / 25 - sound_s) < 0.1
    with server.client(OTHER_KEY) as other:
        error(other.get(str(job["captions"])), 404)
    client.delete(f"/jobs/{job['id']}")
    error(client.get(str(job["captions"])), 404)


def test_captions_that_are_not_wanted_or_cannot_be_are_not_there(client: httpx.Client) -> None:
    job = ended(client, text=TEXT, captions="false")
    assert job["captions"] is None
    assert "no captions" in error(client.get(f"/jobs/{job['id']}/captions.vtt"), 409)["message"]


def test_generate_and_stream_answer_with_the_text_spoken(client: httpx.Client) -> None:
    fields = {"text": TEXT, "voice": VOICE, "speed": "1.5", "options": '{"size": 128}'}
    video = client.post("/generate", **form(None, **fields))
    assert video.status_code == 200
    assert json.loads(video.headers["x-generation-info"])["audio_s"] > 0.5
    stream = client.post("/stream", **form(None, **fields))
    assert stream.status_code == 200
    (n_frames, sound_s), (of_video, _) = lengths(stream.content), lengths(video.content)
    assert n_frames == of_video
    assert abs(n_frames / 25 - sound_s) < 0.1


@pytest.mark.parametrize("path", ["/generate", "/stream"])
@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"text": ""}, 422, "The text is empty."),
        ({"text": "word " * 1001}, 422, "The text has 5005 characters."),
        ({"text": "\u0416\u0430\u0431\u0430 \u0441\u043f\u0438\u0442"}, 422, "Cyrillic"),
        ({"text": "<speak><audio src='x'/></speak>"}, 422, "audio"),
        ({"text": TEXT, "voice": "x"}, 422, "There is no voice 'x'."),
        ({"text": TEXT, "speed": "fast"}, 422, "speed is 'fast'."),
        ({"text": TEXT, "speed": "nan"}, 422, "speed is nan."),
        ({"text": TEXT, "audio": "yes"}, 400, "Both a recording and a text"),
        ({"voice": VOICE, "audio": "yes"}, 400, "without a text"),
        ({}, 400, "audio is missing."),
    ],
)
def test_what_cannot_be_spoken_is_refused(client: httpx.Client, path: str, fields: dict[str, str], status: int, said: str) -> None:
    given = {"voice": VOICE, **fields} if "text" in fields else dict(fields)
    recording = SPEECH if given.pop("audio", "") else None
    assert said in error(client.post(path, **form(recording, **given)), status)["message"]


def test_a_long_text_fits_into_its_field(studio: Studio, server: Serving, client: httpx.Client) -> None:
    assert "characters" in error(client.post("/generate", **form(None, text="\U0001f600" * 15_000, voice=VOICE)), 422)["message"]


def test_voices_are_told(client: httpx.Client) -> None:
    told = client.get("/voices").json()
    voices = {voice["id"]: voice for voice in told["voices"]}
    assert voices[told["default"]]["installed"]
    assert voices["af_heart"] == {
        "id": "af_heart", "name": "Heart", "language": "en-US", "sample_rate_hz": 24000, "licence": "Apache-2.0", "natural": True,
        "synthesiser": "kokoro", "installed": True,
    }  # fmt: skip
    assert (voices[VOICE]["natural"], voices[VOICE]["synthesiser"]) == (False, "espeak")


def test_voices_that_are_not_installed_are_told_too(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.speech_synthesis import kokoro

    monkeypatch.setattr(kokoro, "is_installed", lambda file, language="": False)
    told = client.get("/voices").json()
    voices = {voice["id"]: voice for voice in told["voices"]}
    assert not voices["af_heart"]["installed"]
    assert voices[told["default"]]["synthesiser"] == "espeak"
    assert "There is no voice 'af_heart'." in error(client.post("/generate", **form(None, text=TEXT, voice="af_heart")), 422)["message"]


def test_a_stream_is_seen_while_the_rest_is_spoken(open_again: Callable[..., Studio], tmp_path: Path) -> None:
    """The service speaks half of the sentence, and goes on only when pictures of it have come."""
    with speech_server() as service:
        settings = {"speech_url": service.url, "speech_key": SERVICE_KEY, "speech_voices": "stalling"}
        with serving(open_again(), tmp_path, **settings) as server, server.client() as client:
            fields = {"text": "x" * 70, "voice": "service-stalling", "options": '{"size": 64}'}
            with client.stream("POST", "/stream", **form(None, **fields)) as answer:
                assert answer.status_code == 200
                pieces, data = answer.iter_raw(), b""
                while b"mdat" not in data:
                    data += next(pieces)
                job = client.get(f"/jobs/{answer.headers['x-job-id']}").json()
                assert (job["state"], job["voice"], job["total"]) == ("running", "service-stalling", 0)
                service.go_on.set()
                data += b"".join(pieces)
            assert lengths(data) == (18, pytest.approx(0.7, abs=0.06))  # half of 20 ms for each letter
            wait_for(server.idle)


def test_captions_of_a_stream_come_as_it_is_spoken(client: httpx.Client) -> None:
    with client.stream("POST", "/stream", **form(None, text=TEXT * 20, voice=VOICE)) as answer:
        next(answer.iter_raw())
        job = client.get(f"/jobs/{answer.headers['x-job-id']}").json()
        assert job["captions"]
        assert "Good morning." in client.get(job["captions"]).text


def test_captions_of_a_stream_end_with_it(client: httpx.Client) -> None:
    """They are asked for while it runs: nothing is kept of a stream that was read."""
    with client.stream("POST", "/stream", **form(None, text=TEXT, voice=VOICE)) as answer:
        pieces = answer.iter_raw()
        data = next(pieces)
        shown = client.get(client.get(f"/jobs/{answer.headers['x-job-id']}").json()["captions"]).text
        data += b"".join(pieces)
    _, seconds = lengths(data)
    minutes, last = shown.rsplit(" --> ", 1)[1].split()[0].rsplit(":", 1)
    assert minutes == "00:00"
    assert float(last) <= seconds + 0.001


def test_a_service_that_fails_is_told(open_again: Callable[..., Studio], tmp_path: Path) -> None:
    with speech_server() as service:
        settings = {"speech_url": service.url, "speech_key": SERVICE_KEY, "speech_voices": "broken,busy"}
        with serving(open_again(), tmp_path, **settings) as server, server.client() as client:
            for path in ("/generate", "/stream"):
                assert "answered 500" in error(client.post(path, **form(None, text=TEXT, voice="service-broken")), 502)["message"]
                busy = client.post(path, **form(None, text=TEXT, voice="service-busy"))
                error(busy, 503)
                assert busy.headers["retry-after"] == "7"
