"""Captions of a recording in a real browser: the video is there before them, and plays on when they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, LAPTOP, RESULT_MS, Tab
from tests.support.paths import ROOT
from tests.support.recognition_server import KEY, RecognitionServer, recognition_server

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]


@pytest.fixture
def recogniser() -> Iterator[RecognitionServer]:
    with recognition_server() as recogniser:
        recogniser.hears = "waiting"
        yield recogniser


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, recogniser: RecognitionServer) -> Iterator[Server]:
    settings = {"RECOGNITION_URL": recogniser.url, "RECOGNITION_KEY": KEY, "CAPTION_RECORDINGS": "true"}
    environment = {f"TALKING_HEAD_{name}": value for name, value in settings.items()}
    server = start_app(tmp_path_factory.mktemp("captions"), (str(ROOT / "app_optimized.py"),), **environment)
    yield server
    stop_app(server)


def test_the_video_is_shown_before_its_captions(browser: Any, server: Server, recogniser: RecognitionServer) -> None:
    tab = Tab(browser, server, **LAPTOP)
    tab.give()
    tab.generate()
    page = tab.page
    page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    page.get_by_text("The captions follow").wait_for(timeout=RESULT_MS)
    assert page.locator("#th-captions .th-captions").count() == 0
    page.wait_for_function("document.querySelector('#th-video video')?.readyState > 1", timeout=RESULT_MS)
    page.evaluate("document.querySelector('#th-video video').dataset.same = 'yes'")
    assert page.locator("#th-generate").is_enabled()
    with page.expect_download(timeout=RESULT_MS) as download:
        page.locator("#th-download .th-get").first.click()
    assert download.value.path().stat().st_size > 1000
    page.get_by_role("tab", name="Videos", exact=True).click()
    page.locator("#th-results", has_text="once its words are recognised").wait_for(timeout=RESULT_MS)
    recogniser.go_on.set()
    page.locator("#th-results [data-video]").wait_for(timeout=RESULT_MS)
    assert page.locator("#th-results .th-quiet", has_text="recognised").count() == 0
    page.get_by_role("tab", name="Generate", exact=True).click()
    page.locator("#th-captions .th-captions").wait_for(timeout=RESULT_MS)
    page.get_by_text("The captions follow").wait_for(state="detached", timeout=RESULT_MS)
    assert page.locator("#th-video video[data-same] track").count() == 1, "the same video plays on"
    tab.context.close()
