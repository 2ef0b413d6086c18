"""The clips way of the Chat tab in a real browser: the text at once, its video later, the person at rest between, and nothing missed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS, faults
from tests.support.chat_page import answer, open_chat, quiet, say, start
from tests.support.paths import ROOT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...about) { super(...about); window.sockets.push(this); }
};
"""
# What is seen of the three videos: how opaque each is, and whether it is heard.
SEEN = """() => [...document.querySelectorAll('.th-chat-face video')].filter(each => each.src)
  .map(each => ({ opacity: Number(getComputedStyle(each).opacity), rests: Boolean(each.dataset.rests), muted: each.muted }))"""
AT_REST = "document.querySelector('.th-chat-face video.th-shown[data-rests=true]')?.currentTime > 0.1"
SPEAKS = "document.querySelector('.th-chat-face video.th-shown[data-rests=\"\"]')?.currentTime > 0.1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("clips"), (str(ROOT / "app_optimized.py"),), TALKING_HEAD_VOICE="espeak-en-us")
    yield server
    stop_app(server)


def test_clips_are_shown_one_after_the_other_with_the_person_at_rest_between(browser: Any, server: Server) -> None:
    tab = open_chat(browser, server, SOCKETS)
    page = tab.page
    start(page, clips=True)
    page.wait_for_function(AT_REST, timeout=RESULT_MS)
    assert page.locator(".th-chat-face video").count() == 3
    say(page, "Hello")
    answer(page, "You said: Hello")
    page.get_by_text("The video of this answer is being made").wait_for(timeout=SHOWS_MS)
    page.wait_for_function(SPEAKS, timeout=RESULT_MS)
    assert not page.locator("[data-do=stop]").is_disabled()
    speaking = [each for each in page.evaluate(SEEN) if not each["rests"]]
    assert [each["muted"] for each in speaking] == [False]
    page.wait_for_function(f"({SEEN})().filter(each => each.opacity === 1 && !each.rests).length === 1", timeout=SHOWS_MS)
    assert "video" in page.locator(".th-chat-latency").inner_text()
    page.wait_for_function(AT_REST, timeout=RESULT_MS)
    quiet(page)
    assert faults(page) == []
    assert [each["muted"] for each in page.evaluate(SEEN) if each["rests"]] == [True]

    say(page, "And now? One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen")
    page.get_by_text("The video of this answer is being made").wait_for(timeout=RESULT_MS)
    page.evaluate("sockets.at(-1).close(4000)")  # what comes meanwhile is told when it is back
    page.get_by_text("trying again").wait_for(timeout=SHOWS_MS)
    page.wait_for_function(SPEAKS, timeout=RESULT_MS)
    page.wait_for_function("sockets.length === 2", timeout=SHOWS_MS)  # it may have come before the first one was closed
    assert page.locator(".th-chat-answer", has_text="You said: And now?").count() == 1
    assert page.locator(".th-chat-user").count() == 2
    page.locator("[data-do=stop]").click()
    page.wait_for_function(AT_REST, timeout=SHOWS_MS)
    quiet(page)
    assert "You said: And now?" in page.locator(".th-chat-answer").last.inner_text(), "the text stays"

    page.reload()
    page.get_by_role("tab", name="Chat", exact=True).click()
    answer(page, "You said: And now?")
    page.wait_for_function(AT_REST, timeout=RESULT_MS)
    say(page, "Once more")
    page.wait_for_function(SPEAKS, timeout=RESULT_MS)
    assert tab.outside() == []
    assert tab.forbidden == []
    tab.context.close()
