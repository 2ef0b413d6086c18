"""The Chat tab on the page of api_server.py, behind its key and open: live and in clips, and the conversation is the visitor's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS
from tests.support.chat_page import answer, open_chat, quiet, say, start
from tests.support.server_process import running
from tests.support.serving import KEY

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
FACE_MOVES = "document.querySelector('#th-chat-panel video').currentTime > 0.3"
CLIP_SPEAKS = "document.querySelector('.th-chat-face video.th-shown[data-rests=\"\"]')?.currentTime > 0.1"


@pytest.mark.parametrize("key", [KEY, ""], ids=["behind a key", "open"])
def test_the_face_answers_on_the_servers_page(browser: Any, tmp_path: Path, key: str) -> None:
    with running(tmp_path, TALKING_HEAD_API_KEYS=key, TALKING_HEAD_VOICE="espeak-en-us") as server:
        server.page_ready(key)
        tab = open_chat(browser, server, key=key)
        page = tab.page
        start(page)
        page.wait_for_function(FACE_MOVES, timeout=RESULT_MS)
        say(page, "Hello")
        answer(page, "You said: Hello")
        page.get_by_text("first picture").wait_for(timeout=RESULT_MS)
        quiet(page)
        if key:
            page.get_by_role("button", name="End", exact=True).click()
            page.locator("#th-chat-start").wait_for(timeout=SHOWS_MS)
            page.get_by_label("Clips: the text at once").check()
            page.locator("#th-chat-person [data-key]").last.click()
            page.locator("#th-chat-start").click()
            page.get_by_text("a built-in echo").wait_for(timeout=RESULT_MS)
            say(page, "Good bye")
            answer(page, "You said: Good bye")
            page.wait_for_function(CLIP_SPEAKS, timeout=RESULT_MS)
        assert tab.outside() == []
        assert tab.forbidden == []
        tab.context.close()
