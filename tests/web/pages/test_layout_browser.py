"""One screen is enough: on a laptop for everything, on a phone for what is asked and for what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, Tab
from tests.support.paths import ROOT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
LONG = ROOT / "assets" / "speech_16s.wav"
LAPTOP = {"viewport": {"width": 1280, "height": 720}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
IN_VIEW = """(node) => {
  const box = node.getBoundingClientRect();
  return box.height > 0 && box.top >= -1 && box.bottom <= innerHeight + 1;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("layout"), (str(ROOT / "app_optimized.py"),))
    yield server
    stop_app(server)


def in_view(tab: Tab, *ids: str) -> dict[str, bool]:
    return {each: bool(tab.page.locator(f"#{each}").first.evaluate(IN_VIEW)) for each in ids}


def test_a_laptop_shows_everything_at_once(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, **LAPTOP)
    everything = ("th-photo", "th-speech", "th-generate", "th-video", "th-status")
    assert all(in_view(tab, *everything, "th-examples").values())
    tab.give()
    tab.page.locator("#th-faces .th-card").first.wait_for(timeout=RESULT_MS)
    assert all(in_view(tab, *everything).values())
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    tab.page.locator("#th-video video").wait_for(timeout=RESULT_MS)
    assert all(in_view(tab, *everything, "th-download").values())
    assert tab.page.evaluate("scrollY") == 0
    tab.context.close()


def test_a_phone_shows_what_runs_and_what_came_out(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, **PHONE, color_scheme="dark", locale="de-DE")
    assert all(in_view(tab, "th-photo", "th-speech", "th-generate").values())
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    tab.give(speech=LONG)
    tab.generate()
    tab.page.locator(".th-running:not([hidden])", has_text=re.compile(r"\d+ von \d+ Bildern")).wait_for(timeout=RESULT_MS)
    assert tab.page.locator("#th-cancel").evaluate(IN_VIEW)
    tab.page.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
    tab.page.locator(".th-running").wait_for(state="hidden", timeout=RESULT_MS)
    tab.page.wait_for_function(f"({IN_VIEW})(document.querySelector('#th-video video'))", timeout=RESULT_MS)
    assert in_view(tab, "th-status")["th-status"]
    tab.context.close()


def test_what_runs_is_in_view_on_every_tab_and_in_the_title(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, **LAPTOP)
    tab.give(speech=LONG)
    tab.page.get_by_text("More options").click()
    size = tab.page.get_by_label("Video size")
    size.fill("768")
    size.press("Enter")
    tab.generate()
    tab.page.wait_for_function(r"/^\d+ % – Talking Head$/.test(document.title)", timeout=RESULT_MS)
    tab.page.get_by_role("tab", name="Status").click()
    running = tab.page.locator(".th-running:not([hidden])", has_text=re.compile(r"\d+ of \d+ frames"))
    running.wait_for(timeout=RESULT_MS)
    running.click()
    tab.page.locator("#th-status [role=progressbar]").wait_for(timeout=RESULT_MS)
    running.wait_for(state="hidden", timeout=RESULT_MS)
    tab.page.locator("#th-cancel").click()
    tab.page.wait_for_function("document.title === 'Talking Head'", timeout=RESULT_MS)
    tab.context.close()


def test_a_small_video_is_not_enlarged(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, **LAPTOP)
    tab.give()
    tab.generate()
    video = tab.page.locator("#th-video video")
    video.wait_for(timeout=RESULT_MS)
    tab.page.wait_for_function("document.querySelector('#th-video video').videoWidth > 0", timeout=RESULT_MS)
    assert video.evaluate("(video) => [video.videoWidth, getComputedStyle(video).objectFit]") == [320, "scale-down"]
    tab.context.close()


def test_nothing_shows_through_the_button_that_stays_in_view(browser: Any, server: Server) -> None:
    """Labels of Gradio have a layer of their own."""
    tab = Tab(browser, server, **PHONE)
    tab.page.get_by_text("More options").click()
    label = tab.page.get_by_text("Blinking", exact=True).locator("visible=true").first
    label.wait_for(timeout=RESULT_MS)
    over = """(label) => {
      const generate = document.querySelector('#th-generate').getBoundingClientRect();
      scrollBy(0, label.getBoundingClientRect().top - generate.top - 4);
      const { left, top, height } = label.getBoundingClientRect();
      return document.elementFromPoint(left + 4, top + height / 2)?.closest('#th-go') !== null;
    }"""
    assert label.evaluate(over)
    tab.context.close()
