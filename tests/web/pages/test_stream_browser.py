"""The Stream tab in a real browser: the buttons of its player and their keys, the finished video, and what stays in another language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.paths import PORTRAIT, ROOT

pytestmark = BROWSER_MARKS
LONG = ROOT / "assets" / "speech_16s.wav"
FRONT = "document.querySelector('.th-stage video.th-front')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("stream"), (str(ROOT / "app_optimized.py"),))
    yield server
    stop_app(server)


def give(page: Any) -> None:
    page.get_by_role("tab", name="Stream", exact=True).click()
    page.locator("#th-stream-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-stream-photo img").first.wait_for(timeout=SHOWS_MS)
    page.locator("#th-stream-speech input[type=file]").first.set_input_files(LONG)
    page.locator("#th-stream-speech input[type=file]").first.wait_for(state="detached", timeout=SHOWS_MS)


def bar(page: Any, name: str) -> Any:
    return page.locator(f"#th-stage [data-bar={name}]")


def test_the_player_has_its_buttons_and_keys_and_leaves_the_video(tab: Tab) -> None:
    page = tab.page
    give(page)
    page.locator("#th-stream-play").click()
    page.wait_for_function(f"{FRONT}?.currentTime > 0.3", timeout=RESULT_MS)
    bar(page, "pause").click()
    assert page.evaluate(f"{FRONT}.paused")
    assert bar(page, "pause").get_attribute("aria-label") == "Go on"
    assert faults(page) == []
    page.locator("#th-stage .th-player").focus()
    page.keyboard.press("k")
    page.wait_for_function(f"!{FRONT}.paused", timeout=SHOWS_MS)
    page.keyboard.press("m")
    assert page.evaluate(f"{FRONT}.muted")
    page.keyboard.press("m")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"[{FRONT}.muted, Math.round({FRONT}.volume * 10)]") == [False, 9]
    assert page.locator("#th-stage input[type=range]").input_value() == "0.9"
    narrow = page.evaluate(f"{FRONT}.offsetWidth")
    page.keyboard.press("l")
    page.wait_for_function(f"{FRONT}.offsetWidth > {narrow}", timeout=SHOWS_MS)
    bar(page, "full_screen").click()
    page.wait_for_function("document.fullscreenElement !== null", timeout=SHOWS_MS)
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null", timeout=SHOWS_MS)
    if bar(page, "small_window").is_visible():
        page.evaluate("HTMLVideoElement.prototype.requestPictureInPicture = function () { window.small = this; }")
        page.keyboard.press("i")
        assert page.evaluate(f"window.small === {FRONT}")

    page.locator("#th-stream-status .th-result").wait_for(timeout=RESULT_MS)
    page.locator("#th-stream-status", has_text="The finished video is under Videos.").wait_for(timeout=SHOWS_MS)
    page.locator("#th-stream-stop").click()  # it is complete: stopping it leaves it
    page.get_by_role("tab", name="Videos", exact=True).click()
    page.locator("#th-results video").first.wait_for(timeout=SHOWS_MS)
    assert page.locator("#th-results video").count() == 1
    page.wait_for_function("document.querySelector('#th-results video').duration > 15", timeout=SHOWS_MS)
    assert tab.outside() == []


def test_what_was_put_in_stays_in_another_language_on_the_other_tabs_too(tab: Tab) -> None:
    page = tab.page
    give(page)
    page.get_by_role("tab", name="Avatars", exact=True).click()
    page.locator("#th-avatar-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-avatar-photo img").first.wait_for(timeout=SHOWS_MS)
    page.locator("#th-avatar-name textarea, #th-avatar-name input").first.fill("Ada")
    page.locator("#th-avatar-consent input").check()
    for name in ("live", "chat"):
        page.get_by_role("tab", name=name.capitalize(), exact=True).click()
        page.locator(f"#th-{name}-example").click()
        page.locator(f"#th-{name}-photo img").first.wait_for(timeout=SHOWS_MS)
    page.get_by_label("Clips: the text at once").check()
    page.get_by_role("link", name="Deutsch").click()
    page.locator("#th-generate", has_text="Erzeugen").wait_for(timeout=20_000)
    page.get_by_role("tab", name="Stream", exact=True).click()
    page.wait_for_function("document.querySelector('#th-stream-photo img')?.naturalWidth > 0", timeout=SHOWS_MS)
    page.locator("#th-stream-speech input[type=file]").first.wait_for(state="detached", timeout=SHOWS_MS)
    for name in ("live", "chat"):
        page.get_by_role("tab", name=name.capitalize(), exact=True).click()
        page.wait_for_function(f"document.querySelector('#th-{name}-photo img')?.naturalWidth > 0", timeout=SHOWS_MS)
        assert page.locator(f"#th-{name}-consent input").is_checked()
    page.get_by_role("tab", name="Avatare", exact=True).click()
    page.wait_for_function("document.querySelector('#th-avatar-photo img')?.naturalWidth > 0", timeout=SHOWS_MS)
    assert page.locator("#th-avatar-name textarea, #th-avatar-name input").first.input_value() == "Ada"
    assert page.locator("#th-avatar-consent input").is_checked()
    page.get_by_role("tab", name="Chat", exact=True).click()
    assert page.get_by_label("Clips: der Text sofort").is_checked()
