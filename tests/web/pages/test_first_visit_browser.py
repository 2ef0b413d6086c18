"""A first visit: the examples, two clicks or four actions to a video, its first seconds while it is made, and taking it along."""

from __future__ import annotations

import re
import urllib.error
from collections.abc import Iterator
from typing import Any

import av
import pytest

from core.service.examples import EXAMPLES
from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import AS_PHONE, BROWSER_MARKS, CHROMIUM, FAKE_DEVICES, LAPTOP, PHONE, QUIET, RESULT_MS, Tab, Visitor
from tests.support.paths import ASSETS, PORTRAIT, ROOT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
SCREENS = pytest.mark.parametrize("screen", [LAPTOP, PHONE], ids=["laptop", "phone"])
SHARES = "() => { navigator.canShare = () => true; navigator.share = async ({ files }) => { window.shared = files[0]; }; }"
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


def test_the_page_asks_for_little_and_for_what_it_has_not_again(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, **LAPTOP)
    styles = [address for address in tab.addresses if ".css" in address]
    assert len(styles) <= 4, "static/gradio_styles.txt names those of this version of Gradio"
    assert len(tab.addresses) <= 70
    tab.page.locator(".th-example").first.wait_for(timeout=RESULT_MS)
    again = tab.context.new_page()
    again.goto(server.url)
    again.locator("#th-generate").wait_for(timeout=RESULT_MS)
    fetched = "performance.getEntriesByType('resource').filter((each) => /assets/.test(each.name) && each.transferSize > 0).length"
    assert again.evaluate(fetched) == 0
    tab.context.close()


@SCREENS
def test_a_video_in_two_clicks_from_an_example(browser: Any, server: Server, screen: dict[str, Any]) -> None:
    tab = Tab(browser, server, **screen)
    visitor = Visitor(tab, touch=screen is PHONE)
    visitor.press(".th-example[data-key=drawing]")
    visitor.press("#th-generate")
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    tab.page.locator("#th-video video").wait_for(timeout=RESULT_MS)
    assert visitor.actions == 2
    if screen is LAPTOP:
        takes_along(tab, server)
    tab.context.close()


def takes_along(tab: Tab, server: Server) -> None:
    """In each format, under a name that says who and when; nobody else can."""
    for form in ("mp4", "webm", "gif"):
        link = tab.page.locator(f"#th-download [data-form={form}]")
        with tab.page.expect_download(timeout=2 * RESULT_MS) as download:
            link.click()
        assert re.fullmatch(rf"drawing \d{{4}}-\d\d-\d\d \d\d\.\d\d\.{form}", download.value.suggested_filename)
        with av.open(str(download.value.path())) as file:
            assert file.streams.video[0].width == 320
        with pytest.raises(urllib.error.HTTPError, match="404"):
            server.get(str(link.get_attribute("href")))
    assert tab.page.locator(".th-share").is_hidden(), "this browser cannot share files"


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


def test_a_phone_takes_the_photo_and_records_in_four_actions_and_the_video_is_upright(browser: Any, server: Server) -> None:
    with_devices = browser.browser_type.launch(executable_path=CHROMIUM, args=[*QUIET, *FAKE_DEVICES])
    tab = Tab(with_devices, server, **AS_PHONE)
    tab.page.evaluate(SHARES)
    visitor = Visitor(tab, touch=True)
    visitor.choose(".th-take", PORTRAIT)
    tab.page.locator("#th-photo img").first.wait_for(timeout=RESULT_MS)
    visitor.press(".th-record")
    tab.page.locator(".th-record", has_text="Stop recording").first.wait_for(timeout=RESULT_MS)
    tab.page.wait_for_timeout(1500)  # of speech
    visitor.press("#th-generate")  # ends the recording
    tab.page.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
    assert visitor.actions <= 4
    tab.page.wait_for_function("document.querySelector('#th-video video')?.videoHeight > 0", timeout=RESULT_MS)
    width, height = tab.page.locator("#th-video video").evaluate("(video) => [video.videoWidth, video.videoHeight]")
    assert height / width == pytest.approx(16 / 9, abs=0.02)
    tab.page.locator(".th-share").tap(timeout=RESULT_MS)
    tab.page.wait_for_function("window.shared?.type === 'video/mp4' && window.shared.size > 1000", timeout=RESULT_MS)
    assert tab.page.evaluate("window.shared.name").startswith("portrait 20")
    with_devices.close()


def test_the_first_seconds_play_while_the_rest_is_made(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, **LAPTOP)
    tab.give(speech=ASSETS / "speech_16s.wav")
    tab.page.get_by_text("More options").click()
    size = tab.page.get_by_label("Video size")
    size.fill("768")  # it must not be done before the preview has played
    size.press("Enter")
    tab.generate()
    playing = "document.querySelector('#th-status [data-preview]') && document.querySelector('.th-preview video')?.currentTime > 0.2"
    tab.page.wait_for_function(playing, timeout=RESULT_MS)
    assert tab.page.evaluate("document.querySelector('.th-preview video').duration") == pytest.approx(2.0, abs=0.1)
    preview = tab.page.locator("#th-status [data-preview]").get_attribute("data-preview")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        server.get(str(preview))
    tab.page.locator("#th-status .th-result").wait_for(timeout=3 * RESULT_MS)
    tab.page.locator(".th-preview").wait_for(state="detached", timeout=RESULT_MS)
    assert tab.page.locator("#th-video video").evaluate("(video) => video.duration") == pytest.approx(16.0, abs=0.1)
    tab.context.close()
