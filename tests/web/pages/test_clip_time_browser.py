"""How a video of a person is played: the settings come with the video, are kept in another language, and go with it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
import soundfile

from core.engines.base import Engine
from core.types import Audio, Photo
from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, LAPTOP, PHOTO_SHOWN, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.paths import ROOT
from tests.support.talking_clip import encoded, talking_frames

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
N = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("clip_time"))
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def data(lite: Engine, portrait: Photo, speech: Audio) -> bytes:
    return encoded(talking_frames(lite, portrait, speech, N), rate=30)


def choose(page: Any, label: str, value: str) -> None:
    page.locator("#th-clip").get_by_label(label, exact=True).click()
    page.get_by_role("option", name=value, exact=True).click()


def video_of(tab: Tab) -> bytes:
    cookies = {each["name"]: each["value"] for each in tab.context.cookies()}
    address = tab.page.locator("#th-download a").first.evaluate("(link) => link.href")
    return httpx.get(address, cookies=cookies, trust_env=False, timeout=60).content


def test_the_settings_of_a_video(browser: Any, server: Server, data: bytes, speech: Audio, tmp_path: Path) -> None:
    path, short = tmp_path / "talk.mp4", tmp_path / "short.wav"
    path.write_bytes(data)
    soundfile.write(short, speech.samples[:8_000], 16_000)
    tab = Tab(browser, server, **LAPTOP)
    page = tab.page
    page.get_by_text("More options").click()
    blinking = page.locator("#th-blink")
    blinking.get_by_role("spinbutton").fill("2")
    tab.give(path, short)
    page.wait_for_function(PHOTO_SHOWN, timeout=RESULT_MS)
    page.locator("#th-clip").wait_for(timeout=RESULT_MS)
    blinking.wait_for(state="hidden", timeout=SHOWS_MS)  # a video has no use for it, nor for what it was set to
    assert page.locator("#th-mouth").is_visible()
    choose(page, "If the speech is shorter", "the rest follows, lips closed")
    choose(page, "Frames per second", "as the video")
    assert faults(page) == []
    tab.generate()
    page.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
    with av.open(io.BytesIO(video_of(tab))) as container:
        assert (container.streams.video[0].average_rate, container.streams.video[0].frames) == (30, N)
    page.locator(".th-language").click()
    page.get_by_role("button", name="Erzeugen", exact=True).wait_for(timeout=RESULT_MS)
    page.locator("#th-clip").wait_for(timeout=RESULT_MS)
    assert page.locator("#th-clip").get_by_label("Bilder pro Sekunde", exact=True).input_value() == "wie im Video"
    page.locator("#th-photo").get_by_label("Bild entfernen").click()
    tab.give(speech=None)  # a photo, for which they mean nothing
    page.locator("#th-clip").wait_for(state="hidden", timeout=SHOWS_MS)
    page.get_by_text("Weitere Einstellungen").click()
    blinking.wait_for(timeout=SHOWS_MS)
    page.locator("#th-generate").click()
    page.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
    tab.context.close()


def test_the_picture_beside_the_sliders_is_of_who_is_chosen(browser: Any, server: Server, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(data)
    tab = Tab(browser, server, **LAPTOP)
    page = tab.page
    tab.give(speech=None)
    page.get_by_text("More options").click()
    still = page.locator("#th-still img")
    first = still.get_attribute("src", timeout=RESULT_MS)
    page.locator("#th-photo").get_by_label("Remove Image").click()
    still.wait_for(state="hidden", timeout=RESULT_MS)
    tab.give(photo=ROOT / "assets" / "examples" / "painting.jpg", speech=None)
    assert still.get_attribute("src", timeout=RESULT_MS) != first
    page.locator("#th-photo").get_by_label("Remove Image").click()
    still.wait_for(state="hidden", timeout=RESULT_MS)
    tab.give(photo=path, speech=None)  # of which no single picture is drawn
    page.locator("#th-clip").wait_for(timeout=RESULT_MS)
    assert still.is_hidden()
    tab.context.close()
