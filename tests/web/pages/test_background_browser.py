"""A picture of one's own behind the person, on Generate, Stream, Live and Chat: chosen, seen before the video, kept in another language and
after a reload.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.backdrops import BLUE, RED, backdrop, first_frame, is_behind
from tests.support.browser import BROWSER_MARKS, CHROMIUM, FAKE_DEVICES, LAPTOP, PHONE, QUIET, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.chat_page import open_chat, start
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
OWN = {"en": "a picture of your own", "de": "ein eigenes Bild"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("background"), (str(ROOT / "app_optimized.py"),))
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    return backdrop(folder / "red.png"), backdrop(folder / "blue.png", BLUE)


IS_BEHIND = """([selector, colour]) => {
  const video = document.querySelector(selector);
  if (!video?.videoWidth) return false;
  const canvas = Object.assign(document.createElement('canvas'), { width: video.videoWidth, height: video.videoHeight });
  const drawn = canvas.getContext('2d');
  drawn.drawImage(video, 0, 0);
  const seen = drawn.getImageData(4, 4, 1, 1).data;
  return colour.every((each, n) => Math.abs(each - seen[n]) < 24);
}"""
"""Whether the upper left corner of a video that plays has a colour."""


def shows(page: Any, selector: str, colour: tuple[int, int, int]) -> None:
    page.wait_for_function(IS_BEHIND, arg=[selector, list(colour)], timeout=RESULT_MS)


def open_options(page: Any, fold: str) -> None:
    page.locator(f"{fold} button").first.click()


def choose_own(page: Any, name: str, picture: Path | None) -> None:
    """Of the open options."""
    page.locator(f"#{name}-background input").click()
    page.get_by_role("option", name=OWN["en"], exact=True).click()
    place = page.locator(f"#{name}-background-picture")
    place.wait_for(timeout=SHOWS_MS)
    if picture is not None:
        place.locator("input[type=file]").first.set_input_files(picture)
        place.locator("img").first.wait_for(timeout=SHOWS_MS)


def pixels(source: str) -> np.ndarray:
    data = source.split(",", 1)[1]
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def video_of(tab: Tab) -> bytes:
    """The one that Generate shows."""
    cookies = {each["name"]: each["value"] for each in tab.context.cookies()}
    address = tab.page.locator("#th-download a").first.evaluate("(link) => link.href")
    return httpx.get(address, cookies=cookies, trust_env=False, timeout=60).content


def test_generate(browser: Any, server: Server, pictures: tuple[Path, Path]) -> None:
    tab = Tab(browser, server, **LAPTOP)
    page = tab.page
    tab.give()
    open_options(page, "#th-options")
    choose_own(page, "th", None)
    page.locator("#th-generate").click()
    page.locator("#th-status", has_text="The picture for the background is missing.").wait_for(timeout=RESULT_MS)
    choose_own(page, "th", pictures[0])
    still = page.locator("#th-still img").get_attribute("src", timeout=RESULT_MS)
    other = "(before) => document.querySelector('#th-still img').src !== before"
    while not is_behind(RED, pixels(still)):  # the still of the choice may come before that of the picture
        page.wait_for_function(other, arg=still, timeout=RESULT_MS)
        still = page.locator("#th-still img").get_attribute("src")
    assert faults(page) == []
    page.locator(".th-language").click()
    page.get_by_role("button", name="Erzeugen", exact=True).wait_for(timeout=RESULT_MS)
    open_options(page, "#th-options")
    page.locator("#th-background-picture img").first.wait_for(timeout=RESULT_MS)
    assert page.locator("#th-background input").input_value() == OWN["de"]
    page.locator("#th-photo img").first.wait_for(timeout=RESULT_MS)
    page.locator("#th-generate").click()
    page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    assert is_behind(RED, first_frame(video_of(tab)))
    tab.context.close()


def test_stream(browser: Any, server: Server, pictures: tuple[Path, Path], tmp_path: Path) -> None:
    tab, broken = Tab(browser, server, **PHONE), tmp_path / "broken.png"
    broken.write_bytes(pictures[1].read_bytes()[:60])
    page = tab.page
    page.get_by_role("tab", name="Stream", exact=True).click()
    page.locator("#th-stream-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-stream-speech input[type=file]").first.set_input_files(SPEECH)
    open_options(page, "#th-stream-options")
    choose_own(page, "th-stream", None)
    page.locator("#th-stream-background-picture input[type=file]").first.set_input_files(broken)
    page.locator("#th-stream-options .th-error", has_text="broken.png is damaged").wait_for(timeout=RESULT_MS)
    page.locator("#th-stream-background-picture").get_by_label("Remove Image").click()
    page.locator("#th-stream-options .th-error").wait_for(state="hidden", timeout=SHOWS_MS)
    page.locator("#th-stream-background-picture input[type=file]").first.set_input_files(pictures[1])
    page.locator("#th-stream-background-picture img").first.wait_for(timeout=SHOWS_MS)
    assert faults(page) == []
    page.locator("#th-stream-play").click()
    page.locator("#th-stream-status .th-result").wait_for(timeout=RESULT_MS)
    page.locator(".th-language").click()
    page.get_by_role("button", name="Erzeugen", exact=True).wait_for(timeout=RESULT_MS)
    page.get_by_role("tab", name="Stream", exact=True).click()
    open_options(page, "#th-stream-options")
    page.locator("#th-stream-background-picture img").first.wait_for(timeout=RESULT_MS)
    assert page.locator("#th-stream-background input").input_value() == OWN["de"]
    tab.context.close()


def test_live(browser: Any, server: Server, pictures: tuple[Path, Path]) -> None:
    with_devices = browser.browser_type.launch(executable_path=CHROMIUM, args=[*QUIET, *FAKE_DEVICES])
    page = Tab(with_devices, server, **LAPTOP).page
    page.get_by_role("tab", name="Live", exact=True).click()
    page.locator("#th-live-example").click()
    page.locator("#th-live-photo img").first.wait_for(timeout=SHOWS_MS)
    choose_own(page, "th-live", None)
    page.locator("#th-live-start").click()
    page.locator("#th-live-status", has_text="The picture for the background is missing.").wait_for(timeout=RESULT_MS)
    choose_own(page, "th-live", pictures[0])
    assert faults(page) == []
    page.locator("#th-live-start").click()
    shows(page, "#th-live-panel video", RED)
    page.locator("[data-do=stop]").first.click()  # or it keeps its place for a while
    page.locator("#th-live-start").wait_for(timeout=SHOWS_MS)
    with_devices.close()


def test_chat(browser: Any, server: Server, pictures: tuple[Path, Path]) -> None:
    tab = open_chat(browser, server)
    page = tab.page
    choose_own(page, "th-chat", pictures[1])
    start(page)
    shows(page, ".th-chat-face video", BLUE)
    page.reload()
    page.get_by_role("tab", name="Chat", exact=True).click()
    shows(page, ".th-chat-face video", BLUE)
    tab.context.close()
