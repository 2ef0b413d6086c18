"""The pages by keyboard and for screen readers: axe-core finds nothing serious, keys do what they do elsewhere, the focus is never lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.web.pages.component_labels import GERMAN
from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, Tab, faults
from tests.support.paths import ROOT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
LONG = ROOT / "assets" / "speech_16s.wav"
FOCUSED = "document.activeElement.id"
PHONE_WIDTH = 390
PHONE = {"viewport": {"width": PHONE_WIDTH, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL_TARGETS = """() => [...document.querySelectorAll('button, [role=tab], summary, .th-language, .th-link')]
  .filter((each) => each.offsetParent && getComputedStyle(each).visibility !== 'hidden')
  .map((each) => [each.getBoundingClientRect(), each]).filter(([box]) => box.width && box.height && (box.height < 43.5 || box.width < 43.5))
  .map(([box, each]) => `${Math.round(box.width)}x${Math.round(box.height)} ${each.outerHTML.slice(0, 120)}`)"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("accessibility"), (str(ROOT / "app_optimized.py"),))
    yield server
    stop_app(server)


@pytest.mark.parametrize(("theme", "locale"), [("light", "en-US"), ("dark", "de-DE")])
def test_nothing_serious_on_any_tab(browser: Any, server: Server, theme: str, locale: str) -> None:
    tab = Tab(browser, server, color_scheme=theme, locale=locale)
    tab.give()
    tab.page.locator("#th-faces .th-card").first.wait_for(timeout=RESULT_MS)
    tab.page.locator("button.label-wrap").first.click()
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    for n in range(tab.page.get_by_role("tab").count()):
        tab.page.get_by_role("tab").nth(n).click()
        tab.page.wait_for_timeout(500)
        assert faults(tab.page) == [], f"tab {n}, {theme}"
    tab.context.close()


def test_the_components_speak_the_language_of_the_page(browser: Any, server: Server) -> None:
    """Gradio has these words in English alone."""
    tab = Tab(browser, server, locale="de-DE")
    page = tab.page
    photo = page.locator("#th-photo")
    photo.get_by_label("Mit der Kamera aufnehmen").wait_for(timeout=RESULT_MS)
    tab.give()
    photo.get_by_label("Bild entfernen").wait_for(timeout=RESULT_MS)
    page.get_by_text("Weitere Einstellungen").click()
    page.get_by_label("Regler: Mundöffnung").wait_for(timeout=RESULT_MS)
    named = page.evaluate("[...document.querySelectorAll('[aria-label]')].map((each) => each.getAttribute('aria-label'))")
    assert [name for name in named if any(name.startswith(english) for english in GERMAN)] == []
    added = "([place, text]) => document.querySelector(place).append(Object.assign(document.createElement('p'), { textContent: text }))"
    page.evaluate(added, ["#th-photo", "Uploading 1\n\tfile..."])
    photo.get_by_text("Eine Datei wird hochgeladen …").wait_for(timeout=RESULT_MS)
    page.evaluate(added, ["#th-status", "pause"])  # what visitors write stands in such places
    assert page.locator("#th-status").get_by_text("pause", exact=True).is_visible()
    tab.context.close()


def test_arrow_keys_lead_from_tab_to_tab(tab: Tab) -> None:
    page = tab.page
    first = page.get_by_role("tab").first
    first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent").strip() == "Stream"
    page.locator("#th-stream-play").wait_for(timeout=10_000)
    page.keyboard.press("End")
    page.locator("#th-numbers").wait_for(timeout=10_000)
    page.keyboard.press("ArrowRight")
    page.locator("#th-generate").wait_for(timeout=10_000)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is seen"


def test_what_has_the_focus_is_not_below_the_buttons_that_stay(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, viewport={"width": 1280, "height": 720})
    page = tab.page
    page.get_by_text("More options").wait_for()
    page.locator("#th-speech button").first.focus()
    before = page.evaluate("scrollY")
    covered = """() => {
      const focused = document.activeElement, below = document.querySelector('#th-go');
      return !below.contains(focused) && focused.getBoundingClientRect().bottom > below.getBoundingClientRect().top
        && focused.closest('.column') === below.closest('.column');
    }"""
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "th-generate":
            break
        assert not page.evaluate(covered), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    assert page.evaluate("document.activeElement.id") == "th-generate"
    assert page.evaluate("scrollY") > before, "the page moved to show what was below"
    tab.context.close()


def test_a_dropdown_that_is_left_closes(tab: Tab) -> None:
    page = tab.page
    page.get_by_text("More options").click()
    size = page.get_by_label("Video size")
    size.click()
    sizes = page.locator("ul[role=listbox]", has_text="320")
    sizes.wait_for(timeout=10_000)
    page.keyboard.press("Tab")
    sizes.wait_for(state="detached", timeout=10_000)
    assert page.evaluate("document.activeElement.tagName") != "BODY"


def test_the_focus_stays_after_enter(tab: Tab) -> None:
    """On the button beside it while Generate rests, and on it again."""
    page = tab.page
    tab.give(speech=LONG)
    page.locator("#th-generate").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"{FOCUSED} === 'th-cancel'", timeout=RESULT_MS)
    page.keyboard.press("Enter")
    page.get_by_text("Cancelled. Nothing was kept.").wait_for(timeout=RESULT_MS)
    page.wait_for_function(f"{FOCUSED} === 'th-generate'", timeout=RESULT_MS)


def test_progress_and_result_are_announced(tab: Tab) -> None:
    tab.give(speech=LONG)
    tab.generate()
    tab.page.locator("#th-status [role=status] [role=progressbar]").wait_for(timeout=RESULT_MS)
    tab.page.locator("#th-status [role=status].th-result").wait_for(timeout=RESULT_MS)


def test_what_is_touched_is_large_enough_on_every_tab(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, **PHONE)
    assert tab.page.evaluate(SMALL_TARGETS) == []
    tab.give()
    tab.page.locator("#th-faces .th-card").first.wait_for(timeout=RESULT_MS)
    assert tab.page.evaluate(SMALL_TARGETS) == []
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    for n in range(tab.page.get_by_role("tab").count()):
        tab.page.get_by_role("tab").nth(n).click()
        tab.page.wait_for_timeout(500)
        assert tab.page.evaluate(SMALL_TARGETS) == [], f"tab {n}"
        assert faults(tab.page) == [], f"tab {n}"
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
    tab.context.close()
