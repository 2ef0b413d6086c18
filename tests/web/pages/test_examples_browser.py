"""The examples: three videos that are there already and play when they are pointed at; two clicks to a video of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.service.examples import EXAMPLES
from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, LAPTOP, PHONE, RESULT_MS, Tab, Visitor
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = BROWSER_MARKS
SCREENS = pytest.mark.parametrize("screen", [LAPTOP, PHONE], ids=["laptop", "phone"])
PLAYS = "(card) => { const video = card.querySelector('video'); return !video.paused && video.currentTime > 0 && video.muted; }"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("examples"), (str(ROOT / "app.py"),))
    yield server
    stop_app(server)


def plays(tab: Tab, card: Any, expected: bool) -> None:
    tab.page.wait_for_function(
        f"([card, expected]) => ({PLAYS})(card) === expected", arg=[card.element_handle(), expected], timeout=RESULT_MS
    )


def test_each_video_plays_without_sound_while_it_is_pointed_at_or_has_the_focus(tab: Tab) -> None:
    cards = tab.page.locator(".th-example")
    assert cards.count() == len(EXAMPLES) == 3
    assert not any(".mp4" in address for address in tab.addresses), "nothing is fetched before"
    for n in range(3):
        cards.nth(n).hover()
        plays(tab, cards.nth(n), True)
    tab.page.mouse.move(2, 2)
    plays(tab, cards.nth(2), False)
    cards.nth(1).focus()
    plays(tab, cards.nth(1), True)
    tab.page.keyboard.press("Tab")
    plays(tab, cards.nth(1), False)
    plays(tab, cards.nth(2), True)
    assert cards.nth(0).evaluate("(card) => card.querySelector('video').currentTime") == 0
    assert cards.nth(1).get_attribute("aria-label") == "Drawing, 5 s of speech"


@SCREENS
def test_a_video_in_two_clicks_from_an_example(browser: Any, server: Server, screen: dict[str, Any]) -> None:
    tab = Tab(browser, server, **screen)
    visitor = Visitor(tab, touch=screen is PHONE)
    visitor.press(".th-example[data-key=drawing]")
    visitor.press("#th-generate")
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    tab.page.locator("#th-video video").wait_for(timeout=RESULT_MS)
    assert visitor.actions == 2
    tab.context.close()


@SCREENS
def test_a_video_in_four_actions_from_a_photo_of_ones_own(browser: Any, server: Server, screen: dict[str, Any]) -> None:
    tab = Tab(browser, server, **screen)
    visitor = Visitor(tab, touch=screen is PHONE)
    visitor.choose("#th-photo button[aria-dropeffect]", PORTRAIT)
    visitor.choose("#th-speech button[aria-dropeffect]", SPEECH)
    visitor.press("#th-generate")
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    assert visitor.actions <= 4
    tab.context.close()
