"""A text in place of a recording, in a real browser: heard, made into a video with captions, found again; with keyboard and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.paths import ROOT
from tests.support.speech_server import KEY, SpeechServer, speech_server

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
DESK, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
TEXT = "Hello, I am Ada. This is said twice & once more."
LIMIT = 60
NO_VOICES = """
import sys, app
from core.speech_synthesis.speaker import Speaker
Speaker.voices = lambda self: ()
sys.exit(app.main(sys.argv[1:], everything=True))
"""
CUES = """video => new Promise(resolve => {
  const track = video.querySelector('track');
  const told = () => resolve([track.track.mode, ...[...track.track.cues].map(cue => cue.text.replace('\\n', ' '))]);
  if (track.readyState === 2) told(); else track.addEventListener('load', told);
})"""


@pytest.fixture(scope="module")
def speech() -> Iterator[SpeechServer]:
    with speech_server() as speech:
        yield speech


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, speech: SpeechServer) -> Iterator[Server]:
    settings = {"VOICE": "espeak-en-us", "MAX_TEXT_CHARS": str(LIMIT), "SPEECH_URL": speech.url, "SPEECH_KEY": KEY,
                "SPEECH_VOICES": "alloy,stalling"}  # fmt: skip
    folder, environment = tmp_path_factory.mktemp("speech"), {f"TALKING_HEAD_{name}": value for name, value in settings.items()}
    server = start_app(folder, (str(ROOT / "app_optimized.py"),), **environment)
    yield server
    stop_app(server)


def write(page: Any, text: str = TEXT, name: str = "th") -> None:
    page.locator(f"#{name}-kind").get_by_text("Text", exact=True).click()
    page.locator(f"#{name}-text textarea").fill(text)


def choose_voice(page: Any, name: str) -> None:
    page.get_by_label("Voice", exact=True).fill(name)
    page.get_by_role("option", name=name).first.click()


def listened(page: Any, button: str = "#th-listen") -> float:
    """Seconds of the speech that plays."""
    page.locator(button).click()
    page.wait_for_function("document.querySelector('#th-heard audio')?.currentTime > 0.1", timeout=RESULT_MS)
    page.locator("#th-listen-stop").wait_for(state="hidden", timeout=SHOWS_MS)
    page.wait_for_function("Number.isFinite(document.querySelector('#th-heard audio').duration)", timeout=RESULT_MS)
    return float(page.locator("#th-heard audio").evaluate("audio => audio.duration"))


def made(tab: Tab) -> Any:
    """The video's element."""
    tab.generate()
    tab.page.locator("#th-captions input").wait_for(timeout=RESULT_MS)
    video = tab.page.locator("#th-video video")
    video.wait_for(timeout=RESULT_MS)
    return video


def test_a_text_is_heard_and_becomes_a_video_with_captions(browser: Any, server: Server, tmp_path: Path) -> None:
    tab = Tab(browser, server, viewport=DESK)
    page = tab.page
    tab.give(speech=None)
    write(page)
    page.get_by_text(f"{len(TEXT)} of {LIMIT} characters").wait_for(timeout=SHOWS_MS)
    assert page.locator("#th-speech").is_hidden()
    assert page.get_by_label("Voice", exact=True).input_value() == "English (America): robotic voice"
    usual_s = listened(page)
    sample_s = listened(page, "#th-sample")
    assert 2.0 < usual_s < 8.0
    assert 0.5 < sample_s != usual_s

    video = made(tab)
    assert faults(page) == []
    said = ["Hello, I am Ada.", "This is said twice and once more."]
    assert video.evaluate(CUES) == ["showing", *said]
    page.locator("#th-captions input").uncheck()
    assert video.evaluate(CUES) == ["hidden", *said]
    page.locator("#th-captions input").check()
    assert video.evaluate(CUES)[0] == "showing"
    for kind, begins in (("VTT", "WEBVTT\n\n00:00:"), ("SRT", "1\n00:00:")):
        with page.expect_download(timeout=SHOWS_MS) as download:
            page.get_by_role("link", name=f"Captions as {kind}").click()
        assert download.value.suggested_filename == f"talking-head.{kind.lower()}"
        download.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).read_text().startswith(begins)
        assert "Hello, I am Ada." in (tmp_path / kind).read_text()

    page.get_by_role("tab", name="Videos", exact=True).click()
    listed = page.locator("#th-results video").first
    listed.wait_for(timeout=SHOWS_MS)
    assert listed.evaluate(CUES) == ["showing", *said]
    assert page.locator("#th-results a", has_text="Captions as SRT").count() == 1
    assert tab.outside() == []
    assert tab.forbidden == []
    tab.context.close()


def test_the_text_its_voice_and_speed_are_found_again(tab: Tab) -> None:
    page = tab.page
    tab.give(speech=None)
    write(page)
    choose_voice(page, "German")
    page.locator("#th-speed input[type=number]").fill("1.5")
    page.locator("#th-speed input[type=number]").press("Tab")
    made(tab)
    page.reload()
    page.locator("#th-text textarea").wait_for(timeout=20_000)
    assert page.locator("#th-text textarea").input_value() == TEXT
    assert page.get_by_label("Voice", exact=True).input_value() == "German: robotic voice"
    assert page.locator("#th-speed input[type=number]").input_value() == "1.5"
    assert page.locator("#th-kind input[value=text]").is_checked()
    page.get_by_text("Your last video").wait_for(timeout=SHOWS_MS)
    assert page.locator("#th-video video").evaluate(CUES)[0] == "showing"
    page.locator("#th-examples button").first.click()  # has a recording
    page.locator("#th-text").wait_for(state="hidden", timeout=SHOWS_MS)
    assert page.locator("#th-speech").is_visible()


def test_all_of_it_works_by_keyboard(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, viewport=DESK)
    page = tab.page
    def tab_to(selector: str) -> None:
        for _ in range(12):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached")

    page.locator("#th-kind input[value=recording]").focus()
    tab_to("#th-kind input[value=text]")
    page.keyboard.press("Space")
    page.locator("#th-text textarea").wait_for(timeout=SHOWS_MS)
    tab_to("#th-text textarea")
    page.keyboard.type("Good morning.")
    tab_to("#th-voice input")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab_to("#th-speed input[type=number]")
    page.keyboard.type("2")
    tab_to("#th-listen")
    page.keyboard.press("Enter")
    page.locator("#th-heard audio").wait_for(timeout=RESULT_MS)
    assert page.locator("#th-text textarea").input_value() == "Good morning."
    tab.context.close()


def test_a_phone_in_german(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, viewport=PHONE, is_mobile=True, has_touch=True, locale="de-DE")
    page = tab.page
    tab.give(speech=None)
    write(page, "Guten Tag. " * 10)
    page.get_by_text(f"{11 * 10} von {LIMIT} Zeichen").wait_for(timeout=SHOWS_MS)
    assert page.locator(".th-over").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("#th-listen").click()
    page.locator("#th-heard .th-error").wait_for(timeout=SHOWS_MS)
    assert "Der Text hat 110 Zeichen; höchstens 60 werden angenommen." in page.locator("#th-heard").inner_text()
    tab.generate()
    page.locator("#th-status .th-error").wait_for(timeout=SHOWS_MS)
    assert "Der Text hat 110 Zeichen" in page.locator("#th-status").inner_text()
    write(page, "Привет, как дела?")
    page.locator("#th-listen").click()
    page.get_by_text("Cyrillic").first.wait_for(timeout=SHOWS_MS)
    write(page, "Hello, I am Ada.")
    assert page.locator(".th-over").count() == 0
    video = made(tab)
    assert video.evaluate(CUES) == ["showing", "Hello, I am Ada."]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tab.context.close()


def test_a_stream_of_a_text_plays_with_captions(tab: Tab) -> None:
    page = tab.page
    page.get_by_role("tab", name="Stream", exact=True).click()
    page.locator("#th-stream-photo input[type=file]").first.set_input_files(ROOT / "assets" / "portrait.png")
    page.locator("#th-stream-photo img").first.wait_for(timeout=SHOWS_MS)
    write(page, name="th-stream")
    page.locator("#th-stream-play").click()
    page.locator("#th-stage video.th-front").wait_for(timeout=RESULT_MS)
    page.locator("#th-stream-captions input").wait_for(timeout=RESULT_MS)
    front = page.locator("#th-stage video.th-front")
    assert front.evaluate(CUES)[:2] == ["showing", "Hello, I am Ada."]
    page.locator("#th-stream-stop").click()
    page.locator("#th-stream-captions input").wait_for(state="detached", timeout=SHOWS_MS)


def test_speaking_can_be_stopped(tab: Tab, speech: SpeechServer) -> None:
    """What is stopped is not heard, and the next text is."""
    page = tab.page
    write(page)
    choose_voice(page, "stalling")
    page.locator("#th-text textarea").fill("This is a long first sentence of the text. And one more.")
    page.locator("#th-listen").click()
    page.locator("#th-heard audio").wait_for(timeout=RESULT_MS)  # while it is spoken
    page.locator("#th-listen-stop").click(timeout=SHOWS_MS)
    page.locator("#th-listen-stop").wait_for(state="hidden", timeout=SHOWS_MS)
    assert page.locator("#th-heard audio").count() == 0
    choose_voice(page, "alloy")
    assert listened(page) < 3
    speech.go_on.set()


def test_without_voices_the_page_says_how_to_get_them(browser: Any, tmp_path: Path) -> None:
    server = start_app(tmp_path, ("-c", NO_VOICES))
    tab = Tab(browser, server)
    tab.page.locator("#th-kind").get_by_text("Text", exact=True).click()
    tab.page.get_by_text("./setup.sh speech").wait_for(timeout=SHOWS_MS)
    assert tab.page.locator("#th-text").count() == 0
    tab.give(speech=None)
    tab.generate()
    tab.page.locator("#th-status .th-error", has_text=re.compile("voices are not installed")).wait_for(timeout=SHOWS_MS)
    tab.page.locator("#th-kind").get_by_text("Recording", exact=True).click()
    tab.give(photo=None)  # a recording still does
    tab.context.close()
    stop_app(server)
