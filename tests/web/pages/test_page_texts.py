"""Texts in place of recordings through the Gradio API, with the real client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import CLIENT_MARKS, Server, probe, start_app, stop_app
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = CLIENT_MARKS
TEXT, VOICE = "Good morning. This is a test.", "espeak-en-us"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("texts"), (str(ROOT / "app_optimized.py"),), TALKING_HEAD_VOICE=VOICE)
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from gradio_client import Client

    client = Client(server.url, download_files=str(tmp_path_factory.mktemp("client")), verbose=False)
    yield client
    client.close()


def photo() -> Any:
    from gradio_client import handle_file

    return handle_file(str(PORTRAIT))


def test_a_text_becomes_a_video_at_both_endpoints(client: Any) -> None:
    path = client.predict(image=photo(), size="128", text=TEXT, api_name="/process_talking_head")
    width, _, frames, seconds = probe(path)
    assert width == 128
    assert 1.0 < frames / 25 < 4.0
    assert frames / 25 == pytest.approx(seconds, abs=0.1)
    again, info = client.predict(
        image=photo(), options={"size": 128}, text=TEXT, voice=VOICE, speed=2.0, api_name="/process_talking_head_optimized"
    )
    assert probe(again)[2] < 0.7 * frames
    assert info["voice"] == VOICE
    assert info["captions"].startswith("WEBVTT\n\n")
    assert "This is a test." in info["captions"]


def test_what_cannot_be_spoken_is_told(client: Any) -> None:
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    speech = handle_file(str(SPEECH))
    for given, said in (
        ({"text": TEXT, "voice": "x"}, "There is no voice x here."),
        ({"text": "word " * 1001}, "The text has 5005 characters; at most 5000 are taken."),
        ({"text": TEXT, "speed": 5}, "The speed is 5"),
        ({"text": TEXT, "audio": speech}, "A recording and a text are given."),
        ({"audio": speech, "voice": VOICE}, "without a text"),
        ({"text": "  "}, "The recording is missing."),
    ):
        with pytest.raises(AppError) as caught:
            client.predict(image=photo(), **given, api_name="/process_talking_head")
        assert said in str(caught.value)


def test_the_voices_are_listed(client: Any) -> None:
    voices = client.predict(api_name="/list_voices")
    assert voices[0]["id"] == VOICE, "the default comes first"
    assert {voice["synthesiser"] for voice in voices} == {"kokoro", "espeak"}
    assert all(voice["installed"] for voice in voices if voice["language"] != "ja-JP"), "Japanese takes packages of its own"
