"""The Chat tab in a real browser: the face speaks the answers, Stop, a reload, keyboard and phone, a microphone, and no voices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS, faults
from tests.support.chat_page import PHONE, answer, open_chat, quiet, say, start
from tests.support.paths import ROOT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
LONG = "one two three four five six seven eight nine ten " * 6
NO_VOICES = """
import sys, app
from core.speech_synthesis.speaker import Speaker
Speaker.voices = lambda self: ()
sys.exit(app.main(sys.argv[1:], everything=True))
"""
# A recogniser needs the browser's maker. This one hears what the test says.
RECOGNISER = """
window.SpeechRecognition = window.webkitSpeechRecognition = class {
  start() { window.recogniser = this; }
  stop() { this.onend(); }
  abort() { this.onend(); }
  hears(text, isFinal) {
    this.onspeechstart();
    this.onresult({ results: [Object.assign([{ transcript: text }], { isFinal })] });
    if (isFinal) this.onend();
  }
  fails(error) { this.onerror({ error }); this.onend(); }
};
"""
NO_RECOGNISER = "delete window.webkitSpeechRecognition; delete window.SpeechRecognition;"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("chat"), (str(ROOT / "app_optimized.py"),), TALKING_HEAD_VOICE="espeak-en-us")
    yield server
    stop_app(server)


def shown_s(page: Any) -> float:
    return float(page.locator("#th-chat-panel video").first.evaluate("video => video.currentTime"))


def test_the_face_speaks_the_answer_and_a_reload_goes_on(browser: Any, server: Server) -> None:
    tab = open_chat(browser, server)
    page = tab.page
    page.locator("#th-chat-start").click()
    page.locator("#th-chat-status .th-error").wait_for(timeout=SHOWS_MS)
    start(page)
    page.wait_for_function("document.querySelector('#th-chat-panel video').currentTime > 0.5", timeout=RESULT_MS)
    say(page, "Hello <img src=x onerror=alert(1)> & goodbye")
    line = answer(page, "You said: Hello <img src=x onerror=alert(1)> & goodbye")
    assert page.locator(".th-chat-log img").count() == 0, "a model's text is text"
    assert line.locator("b").inner_text() == "Echo"
    page.get_by_text("first picture").wait_for(timeout=RESULT_MS)
    assert "First word after 0." in page.locator(".th-chat-latency").inner_text()
    quiet(page)
    assert page.locator(".th-chat-log small").count() == 0, "spoken to its end"
    assert faults(page) == []

    before_s = shown_s(page)
    page.reload()
    page.get_by_role("tab", name="Chat", exact=True).click()
    answer(page, "You said: Hello <img")
    assert page.locator(".th-chat-user").count() == 1
    page.wait_for_function("document.querySelector('#th-chat-panel video').currentTime > 0.2", timeout=RESULT_MS)
    assert before_s > 0.5
    say(page, "And now?")
    answer(page, "You said: And now?")
    quiet(page)

    page.get_by_role("button", name="End", exact=True).click()
    page.locator("#th-chat-start").wait_for(timeout=SHOWS_MS)
    page.reload()
    page.get_by_role("tab", name="Chat", exact=True).click()
    page.locator("#th-chat-start").wait_for(timeout=SHOWS_MS)  # what was ended does not come back
    page.locator("#th-chat-person [data-key]").nth(1).wait_for(timeout=SHOWS_MS)  # the photo is among the avatars
    assert tab.outside() == []
    assert tab.forbidden == []
    tab.context.close()


def test_stop_and_a_new_message_end_the_answer(browser: Any, server: Server) -> None:
    tab = open_chat(browser, server)
    page = tab.page
    start(page)
    say(page, LONG)
    page.wait_for_function("document.querySelector('.th-chat-answer p')?.textContent.includes('three')", timeout=RESULT_MS)
    page.locator("[data-do=stop]").click()
    page.locator(".th-chat-answer small", has_text="interrupted").wait_for(timeout=SHOWS_MS)
    quiet(page)
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    assert "You said" not in page.locator(".th-chat-answer p").first.inner_text(), "what was not spoken is cut"
    say(page, LONG)
    page.wait_for_function("document.querySelectorAll('.th-chat-answer p')[1]?.textContent.includes('three')", timeout=RESULT_MS)
    say(page, "Something else")
    answer(page, "You said: Something else")
    assert page.locator(".th-chat-answer small").count() == 2
    quiet(page)
    tab.context.close()


def test_what_the_browser_recognises_is_said_and_interrupts(browser: Any, server: Server) -> None:
    tab = open_chat(browser, server, RECOGNISER)
    page = tab.page
    start(page)
    page.get_by_text("your browser recognises the words itself").wait_for(timeout=SHOWS_MS)
    say(page, LONG)
    page.wait_for_function("document.querySelector('.th-chat-answer p')?.textContent.includes('three')", timeout=RESULT_MS)
    speak = page.get_by_role("button", name="Speak", exact=True)
    speak.click()
    assert speak.get_attribute("aria-pressed") == "true"
    assert page.evaluate("window.recogniser.lang").lower() == "en-us"
    page.evaluate("window.recogniser.hears('Good', false)")
    page.locator(".th-chat-answer small", has_text="interrupted").wait_for(timeout=SHOWS_MS)
    page.evaluate("window.recogniser.hears('Good evening', true)")
    answer(page, "You said: Good evening")
    assert speak.get_attribute("aria-pressed") == "false"
    speak.click()
    page.evaluate("window.recogniser.fails('not-allowed')")
    page.get_by_text("The microphone is not allowed here.").wait_for(timeout=SHOWS_MS)
    tab.context.close()


def test_a_phone_in_german_without_recognition(browser: Any, server: Server) -> None:
    options = {"viewport": PHONE, "is_mobile": True, "has_touch": True, "locale": "de-DE"}
    tab = open_chat(browser, server, NO_RECOGNISER, **options)
    page = tab.page
    page.locator("#th-chat-example").click()
    page.locator("#th-chat-photo img").first.wait_for(timeout=SHOWS_MS)
    page.locator("#th-chat-start").click()
    page.get_by_text("einem eingebauten Echo").wait_for(timeout=RESULT_MS)
    page.get_by_text("Dieser Browser erkennt keine Sprache").wait_for(timeout=SHOWS_MS)
    assert page.locator("[data-do=speak]").is_hidden()
    page.locator("#th-chat-panel textarea").fill("Guten Tag")
    page.get_by_role("button", name="Senden", exact=True).click()
    answer(page, "You said: Guten Tag")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert min(page.locator(".th-chat button:visible").evaluate_all("all => all.map(each => each.offsetHeight)")) >= 44
    tab.context.close()


def test_a_conversation_that_is_gone_is_told_and_a_new_one_begins(browser: Any, tmp_path: Path) -> None:
    """Without voices, where the answers are text only."""
    server = start_app(tmp_path, ("-c", NO_VOICES))
    tab = open_chat(browser, server)
    page = tab.page
    page.locator("#th-chat-no-voices", has_text="no voices are installed here").wait_for(timeout=SHOWS_MS)
    assert page.locator("#th-chat-photo").count() == 0 or page.locator("#th-chat-photo").is_hidden()
    page.locator("#th-chat-start").focus()
    page.keyboard.press("Enter")
    page.get_by_text("a built-in echo").wait_for(timeout=RESULT_MS)
    page.get_by_text("The answers are text only").last.wait_for(timeout=SHOWS_MS)
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.type("Good morning")
    page.keyboard.press("Enter")
    answer(page, "You said: Good morning")
    quiet(page)
    assert page.locator("#th-chat-panel video").first.is_hidden()
    assert faults(page) == []
    page.evaluate("""() => {
      const kept = JSON.parse(sessionStorage.getItem('talking-head-chat'));
      sessionStorage.setItem('talking-head-chat', JSON.stringify({ ...kept, secret: 'x' }));
    }""")
    page.reload()
    page.get_by_role("tab", name="Chat", exact=True).click()
    page.get_by_text("That conversation is no longer kept here.").wait_for(timeout=RESULT_MS)
    say(page, "Once more")
    answer(page, "You said: Once more")
    assert page.locator(".th-chat-user").count() == 1
    tab.context.close()
    stop_app(server)
