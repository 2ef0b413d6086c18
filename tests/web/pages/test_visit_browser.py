"""A visit in a real browser: another language keeps what was put in, devices that cannot be used say why, uploads tell how far they are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, CHROMIUM, FAKE_DEVICES, QUIET, RESULT_MS, Tab
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("visit"), (str(ROOT / "app_optimized.py"),), TALKING_HEAD_REQUIRE_CONSENT="1")
    yield server
    stop_app(server)


@pytest.fixture(scope="module")
def recorder(browser: Any) -> Iterator[Any]:
    """A browser with a camera and a microphone."""
    recorder = browser.browser_type.launch(executable_path=CHROMIUM, args=[*QUIET, *FAKE_DEVICES])
    yield recorder
    recorder.close()


def consent(tab: Tab, label: str = "The person in the photo or video agreed") -> Any:
    return tab.page.get_by_label(label).locator("visible=true").first


class TestLanguage:
    def test_photo_speech_and_settings_stay(self, tab: Tab, server: Server) -> None:
        page = tab.page
        assert page.evaluate("document.documentElement.lang") == "en"
        tab.give()
        page.get_by_text("More options").click()
        page.get_by_label("Seed", exact=True).fill("77")
        page.get_by_label("Seed", exact=True).press("Tab")
        page.locator(".th-language").click()
        page.get_by_role("button", name="Erzeugen", exact=True).wait_for(timeout=RESULT_MS)
        assert page.evaluate("document.documentElement.lang") == "de"
        page.locator("footer", has_text="Über API verwenden").wait_for(timeout=RESULT_MS)  # Gradio's words, too
        page.locator("#th-photo img").first.wait_for(timeout=RESULT_MS)
        page.locator("#th-speech #waveform").wait_for(timeout=RESULT_MS)
        page.get_by_text("Weitere Einstellungen").click()
        assert page.get_by_label("Startwert", exact=True).input_value() == "77"
        page.reload()
        page.locator("#th-generate").wait_for(timeout=RESULT_MS)
        page.wait_for_timeout(1500)
        assert page.locator("#th-photo img").count() == 0, "only for the page that follows"

    def test_the_api_page_is_found_from_every_language(self, browser: Any, server: Server) -> None:
        tab = Tab(browser, server, locale="de-DE")
        tab.page.locator("footer .show-api").click()
        tab.page.get_by_text("/process_talking_head_optimized").first.wait_for(timeout=RESULT_MS)
        tab.context.close()


class TestConsent:
    def test_it_is_asked_anew_for_each_new_photo(self, tab: Tab, tmp_path: Path) -> None:
        tab.give(speech=None)
        consent(tab).check()
        pixels = cv2.imread(str(PORTRAIT))
        cv2.imwrite(str(tmp_path / "other.png"), np.ascontiguousarray(pixels[:, ::-1]))
        tab.give(photo=None, speech=SPEECH)
        assert consent(tab).is_checked()
        tab.page.locator("#th-photo input[type=file]").first.set_input_files(tmp_path / "other.png")
        tab.page.wait_for_function("!document.querySelector('input[type=checkbox]:checked')", timeout=RESULT_MS)
        tab.generate()
        tab.page.locator("#th-status .th-error").wait_for(timeout=RESULT_MS)


class TestDevices:
    def test_a_microphone_that_is_missing_says_so_once(self, tab: Tab) -> None:
        tab.page.locator("#th-speech .source-selection button").nth(1).click()
        tab.page.locator("#th-speech button", has_text="Record").first.click()
        tab.page.locator(".th-device[role=alert]").wait_for(timeout=RESULT_MS)
        assert "None was found" in tab.page.locator(".th-device").inner_text()

    def test_a_page_without_https_says_that(self, browser: Any, server: Server) -> None:
        tab = Tab(browser, server)
        tab.context.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        tab.page.reload()
        tab.page.locator("#th-generate").wait_for(timeout=RESULT_MS)
        tab.page.locator("#th-photo .source-selection button").nth(1).click()
        tab.page.locator(".th-device", has_text="https").wait_for(timeout=RESULT_MS)
        tab.context.close()

    def test_a_recording_that_runs_ends_before_its_video_is_made(self, recorder: Any, server: Server) -> None:
        tab = Tab(recorder, server)
        tab.give(speech=None)
        consent(tab).check()
        tab.page.locator("#th-speech .source-selection button").nth(1).click()
        tab.page.locator("#th-speech button", has_text="Record").first.click()
        tab.page.locator("#th-speech .stop-button").locator("visible=true").first.wait_for(timeout=RESULT_MS)
        tab.page.wait_for_timeout(2000)
        tab.generate()
        tab.page.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
        tab.context.close()

    def test_the_camera_is_mirrored_on_the_screen_only(self, recorder: Any, server: Server) -> None:
        tab = Tab(recorder, server)
        tab.page.locator("#th-photo .source-selection button").nth(1).click()
        tab.page.locator("#th-photo [title='grant webcam access'] button").first.click()
        tab.page.locator("#th-photo video").locator("visible=true").first.wait_for(timeout=RESULT_MS)
        assert "-1" in tab.page.locator("#th-photo video").first.evaluate("(video) => getComputedStyle(video).transform")
        assert tab.page.locator("#th-photo video.flip").count() == 0
        tab.context.close()


class TestUploads:
    def test_a_slow_line_is_told_bytes_and_time_left(self, tab: Tab, tmp_path: Path) -> None:
        large = tmp_path / "large.wav"
        shutil.copy(SPEECH, large)
        with large.open("ab") as file:
            file.truncate(4 * 2**20)
        session = tab.context.new_cdp_session(tab.page)
        slow = {"offline": False, "latency": 20, "downloadThroughput": -1, "uploadThroughput": 2**20}
        session.send("Network.emulateNetworkConditions", slow)
        tab.page.locator("#th-speech input[type=file]").first.set_input_files(large)
        told = tab.page.locator(".th-uploading")
        told.wait_for(timeout=RESULT_MS)
        assert "of 4.0 MiB" in told.inner_text()
        told.wait_for(state="detached", timeout=RESULT_MS)


def test_the_page_has_an_icon_of_its_own(server: Server) -> None:
    assert b"<svg" in server.get("favicon.ico")


def test_the_end_of_a_long_job_is_told_to_who_wants_that(browser: Any, server: Server) -> None:
    tab = Tab(browser, server)
    tab.page.add_init_script(
        "window.Notification = class { constructor(title, about) { window.told = about.body; } };"
        "Notification.permission = 'granted'; Notification.requestPermission = async () => 'granted';"
        "const now = performance.now.bind(performance); window.later = 0; performance.now = () => now() + window.later;"
    )
    tab.page.reload()
    tab.page.locator("#th-generate").wait_for(timeout=RESULT_MS)
    assert tab.page.locator(".th-notify").is_hidden()
    tab.give(speech=ROOT / "assets" / "speech_16s.wav")
    consent(tab).check()
    tab.page.get_by_text("More options").click()
    size = tab.page.get_by_label("Video size")
    size.fill("1024")
    size.press("Enter")
    tab.generate()
    tab.page.locator(".th-notify input").check(timeout=RESULT_MS)
    tab.page.evaluate("window.later = 60000")  # long is what takes more than ten seconds, and a fast machine takes less for this one
    tab.page.locator("#th-status .th-result").wait_for(timeout=4 * RESULT_MS)
    tab.page.wait_for_function("window.told === 'Your video is done.'", timeout=RESULT_MS)
    tab.context.close()
