"""The Live tab in a browser: opened, started, and moving."""

from __future__ import annotations

from typing import Any

from tests.support.browser import RESULT_MS, SHOWS_MS, Tab
from tests.support.paths import PORTRAIT

SHOWN = "document.querySelector('#th-live-panel video')"


def open_live(tab: Tab, name: str = "Live") -> Any:
    tab.page.get_by_role("tab", name=name, exact=True).click()
    tab.page.locator("#th-live-start").wait_for(timeout=SHOWS_MS)
    return tab.page


def start(page: Any) -> None:
    page.locator("#th-live-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-live-photo img").first.wait_for(timeout=SHOWS_MS)
    page.locator("#th-live-consent input").check()
    page.locator("#th-live-start").click()
    page.locator("#th-live-panel").wait_for(timeout=RESULT_MS)


def moves(page: Any) -> None:
    """The face speaks, is shown, and its delay is told."""
    page.wait_for_function(f"{SHOWN}.currentTime > 0.5 && {SHOWN}.videoWidth > 0", timeout=RESULT_MS)
    page.wait_for_function("Number(document.querySelector('.th-live').dataset.delayMs) > 0", timeout=RESULT_MS)


def press(page: Any, name: str) -> None:
    page.locator(f"#th-live-panel [data-do={name}]").click()
