"""Talking with the face in a real browser with a fake microphone: what is said interrupts it, is recognised by a service, and answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS, browser_with
from tests.support.chat_page import open_chat, say, start
from tests.support.chat_server import ANSWER, ChatServer, chat_server
from tests.support.openai_server import KEY
from tests.support.paths import ROOT, SPEECH
from tests.support.recognition_server import WORDS, RecognitionServer, recognition_server

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
BEFORE_S = 1.0
"""Of silence, before somebody speaks into the microphone."""


@pytest.fixture(scope="module")
def model() -> Iterator[ChatServer]:
    with chat_server() as model:
        yield model


@pytest.fixture(scope="module")
def recogniser() -> Iterator[RecognitionServer]:
    with recognition_server() as recogniser:
        yield recogniser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: ChatServer, recogniser: RecognitionServer) -> Iterator[Server]:
    settings = {"VOICE": "espeak-en-us", "CHAT_URL": model.url, "CHAT_KEY": KEY, "CHAT_MODEL": "Ada", "RECOGNITION_URL": recogniser.url,
                "RECOGNITION_KEY": KEY}  # fmt: skip
    environment = {f"TALKING_HEAD_{name}": value for name, value in settings.items()}
    server = start_app(tmp_path_factory.mktemp("chat"), (str(ROOT / "app_optimized.py"),), **environment)
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Its microphone is a file, which is heard once from when it is opened."""
    speech, rate_hz = soundfile.read(SPEECH)
    file = tmp_path_factory.mktemp("microphone") / "speech.wav"
    soundfile.write(file, np.concatenate((np.zeros(round(BEFORE_S * rate_hz)), 0.5 * speech / np.abs(speech).max())), rate_hz)
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with browser_with(*fake, f"--use-file-for-fake-audio-capture={file}%noloop") as browser:
        yield browser


def test_who_speaks_interrupts_the_face_and_is_answered(
    browser: Any, server: Server, model: ChatServer, recogniser: RecognitionServer
) -> None:
    tab = open_chat(browser, server)
    page = tab.page
    start(page, "You talk with Ada")
    page.get_by_text("to its speech recognition").wait_for(timeout=SHOWS_MS)
    say(page, "Who are you?")
    page.get_by_text("first picture").wait_for(timeout=RESULT_MS)
    speak = page.get_by_role("button", name="Speak", exact=True)
    speak.click()
    page.locator(".th-chat-answer small", has_text="interrupted").wait_for(timeout=RESULT_MS)
    assert speak.get_attribute("aria-pressed") == "true"
    page.locator(".th-chat-user", has_text=WORDS).wait_for(timeout=RESULT_MS)
    page.wait_for_function("document.querySelectorAll('.th-chat-answer').length === 2", timeout=RESULT_MS)
    spoken = page.locator(".th-chat-answer p").first.inner_text()
    assert ANSWER.startswith(spoken)
    assert 0 < len(spoken) < len(ANSWER), "what was not spoken is cut"
    said = [message["content"] for message in model.requests[-1]["messages"]]
    assert said[1:] == ["Who are you?", spoken, WORDS], "the model is told what was spoken"

    request = recogniser.requests[-1]
    assert (len(recogniser.requests), request["language"]) == (1, "en")
    samples, rate_hz = request["samples"] / 2**15, request["rate_hz"]
    speech, _ = soundfile.read(SPEECH)
    assert 0.9 * len(speech) < len(samples) < len(speech) + 2 * rate_hz  # a busy browser loses some of the silence
    loud = np.flatnonzero(np.abs(samples) > 0.05) / rate_hz
    assert 0.1 < loud[0], "it begins before somebody speaks"
    assert loud[-1] - loud[0] > 0.8 * len(speech) / rate_hz

    speak.click()
    assert speak.get_attribute("aria-pressed") == "false"
    assert tab.outside() == []
    assert tab.forbidden == []
    tab.context.close()


def test_failures_of_microphone_and_service_are_told(browser: Any, server: Server, recogniser: RecognitionServer) -> None:
    tab = open_chat(browser, server, "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', window.fails); };")
    page = tab.page
    start(page, "You talk with Ada")
    speak = page.get_by_role("button", name="Speak", exact=True)
    for name, told in (
        ("NotAllowedError", "The microphone is not allowed here."),
        ("NotFoundError", "No microphone was found."),
        ("SecurityError", "only to pages with https"),
    ):
        page.evaluate("name => { window.fails = name; }", name)
        speak.click()
        page.get_by_text(told).wait_for(timeout=SHOWS_MS)
        assert speak.get_attribute("aria-pressed") == "false"
    tab.context.close()
    recogniser.hears = "broken"
    tab = open_chat(browser, server)
    page = tab.page
    start(page, "You talk with Ada")
    page.get_by_role("button", name="Speak", exact=True).click()
    page.get_by_text("The speech recognition does not answer as it should.").wait_for(timeout=RESULT_MS)
    assert page.locator(".th-chat-user").count() == 0
    tab.context.close()
