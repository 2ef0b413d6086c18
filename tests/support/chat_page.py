"""The Chat tab in the browser of the tests: opened, begun with a photo, spoken to."""

from __future__ import annotations

from typing import Any

from tests.support.app_process import Server
from tests.support.browser import RESULT_MS, SHOWS_MS, Tab
from tests.support.paths import PORTRAIT
from tests.support.server_process import Process

DESK, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}


def open_chat(browser: Any, server: Server | Process, script: str = "", **options: Any) -> Tab:
    """script: runs before the page's own."""
    tab = Tab(browser, server, **{"viewport": DESK, **options})
    if script:
        tab.page.add_init_script(script)
        tab.page.reload()
        tab.page.locator("#th-generate").wait_for(timeout=20_000)
    tab.page.get_by_role("tab", name="Chat", exact=True).click()
    tab.page.locator("#th-chat-start").wait_for(timeout=SHOWS_MS)
    return tab


def start(page: Any, partner: str = "a built-in echo", clips: bool = False) -> None:
    """partner: what the page then says of who answers."""
    if clips:
        page.get_by_label("Clips: the text at once").check()
    page.locator("#th-chat-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-chat-photo img").first.wait_for(timeout=SHOWS_MS)
    page.locator("#th-chat-consent input").check()
    page.locator("#th-chat-start").click()
    page.get_by_text(partner).wait_for(timeout=RESULT_MS)


def say(page: Any, text: str) -> None:
    field = page.locator("#th-chat-panel textarea")
    field.fill(text)
    field.press("Enter")


def answer(page: Any, text: str) -> Any:
    line = page.locator(".th-chat-answer", has_text=text)
    line.wait_for(timeout=RESULT_MS)
    return line


def quiet(page: Any) -> None:
    """Nothing is written or spoken any more."""
    page.wait_for_function("document.querySelector('[data-do=stop]').disabled", timeout=RESULT_MS)
