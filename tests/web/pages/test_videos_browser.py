"""The Videos tab in a real browser, by keyboard: play, rename, keep longer, settings again, delete; in German on a phone; each visitor
their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.paths import ROOT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NAME, FILE_NAME = "Ada <b>&amp; ${1}", "Ada  b &amp; ${1}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("videos"), (str(ROOT / "app_optimized.py"),))
    yield server
    stop_app(server)


def make(tab: Tab, size: str) -> None:
    """A video with a setting of its own."""
    page = tab.page
    field = page.get_by_label("Video size").first
    field.fill(size)
    field.press("Enter")
    tab.generate()
    page.locator("#th-status .th-result li", has_text=f"{size} × {size}").wait_for(state="attached", timeout=RESULT_MS)


def cards(page: Any) -> Any:
    return page.locator("#th-results [data-video]")


def press(page: Any, card: Any, does: str) -> None:
    card.locator(f"[data-do={does}]").focus()
    page.keyboard.press("Enter")


def open_videos(page: Any, n: int) -> None:
    page.get_by_role("tab", name="Videos", exact=True).click()
    cards(page).nth(n - 1).wait_for(timeout=SHOWS_MS)
    assert cards(page).count() == n


def test_everything_by_keyboard_and_nobody_elses(browser: Any, server: Server, tab: Tab) -> None:
    page = tab.page
    tab.give()
    page.get_by_text("More options").click()
    make(tab, "128")
    make(tab, "160")
    open_videos(page, 2)
    first = cards(page).first
    page.wait_for_function("document.querySelector('#th-results video').poster.includes('thumbnail.jpg')", timeout=SHOWS_MS)
    loaded = "fetch(document.querySelector('#th-results video').poster).then((answer) => answer.headers.get('content-type'))"
    assert page.evaluate(loaded) == "image/jpeg"
    page.evaluate("document.querySelector('#th-results video').play()")
    page.wait_for_function("document.querySelector('#th-results video').currentTime > 0.2", timeout=SHOWS_MS)
    assert faults(page) == []

    press(page, first, "rename")
    page.keyboard.type(NAME)
    page.keyboard.press("Enter")
    page.locator("#th-results b", has_text=NAME).wait_for(timeout=SHOWS_MS)
    page.wait_for_function("document.activeElement.dataset.do === 'rename'", timeout=SHOWS_MS)
    with page.expect_download(timeout=RESULT_MS) as download:
        first.locator("[data-form=mp4]").click()
    assert re.fullmatch(rf"{re.escape(FILE_NAME)} \d{{4}}-\d\d-\d\d \d\d\.\d\d\.mp4", download.value.suggested_filename)
    with page.expect_download(timeout=RESULT_MS) as download:
        cards(page).nth(1).locator("[data-form=mp4]").click()
    assert download.value.suggested_filename.startswith("portrait 20")
    press(page, first, "rename")
    page.keyboard.press("Escape")
    assert first.locator("form").is_hidden()
    press(page, first, "keep")
    page.locator("#th-results-said", has_text="Its time begins anew.").wait_for(timeout=SHOWS_MS)

    older = cards(page).nth(1)
    address = str(older.locator("video").get_attribute("src"))
    stolen = older.get_attribute("data-video")
    other = Tab(browser, server)
    other.page.get_by_role("tab", name="Videos", exact=True).click()
    other.page.get_by_text("No videos yet").wait_for(timeout=SHOWS_MS)
    other.page.evaluate(
        """(id) => { document.querySelector('#th-results .th-status').insertAdjacentHTML('afterend',
          `<div data-video="${id}"><button data-do="keep">x</button></div>`); }""",
        stolen,
    )
    other.page.locator(f"[data-video='{stolen}'] [data-do=keep]").click()
    other.page.locator("#th-results-said", has_text="That video is gone.").wait_for(timeout=SHOWS_MS)
    assert other.page.evaluate("(address) => fetch(address).then((answer) => answer.status)", address) == 403
    other.context.close()

    press(page, older, "reuse")
    page.locator("#th-generate").wait_for(timeout=SHOWS_MS)
    page.wait_for_function("[...document.querySelectorAll('input')].some((each) => each.offsetParent && each.value.startsWith('128'))")

    open_videos(page, 2)
    press(page, cards(page).nth(1), "delete")
    assert cards(page).nth(1).locator("[data-do=delete]").inner_text() == "Delete for good?"
    page.keyboard.press("Enter")
    page.locator("#th-results-said", has_text="The video is deleted.").wait_for(timeout=SHOWS_MS)
    assert cards(page).count() == 1
    assert cards(page).first.locator("[data-do=delete]").inner_text() == "Delete"
    page.wait_for_function("document.activeElement.dataset.do === 'delete'", timeout=SHOWS_MS)
    page.reload()
    page.locator("#th-generate").wait_for(timeout=20_000)
    open_videos(page, 1)
    page.locator("#th-results b", has_text=NAME).wait_for(timeout=SHOWS_MS)


def test_on_a_phone_in_german_and_dark(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, locale="de-DE", color_scheme="dark", **PHONE)
    page = tab.page
    tab.give()
    tab.generate()
    page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    open_videos(page, 1)
    assert "noch 60 min da" in cards(page).first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    assert min(page.locator("#th-results button:visible").evaluate_all("all => all.map(each => each.offsetHeight)")) >= 44
    assert faults(page) == []
    tab.context.close()
