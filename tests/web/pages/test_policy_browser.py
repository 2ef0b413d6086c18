"""The pages under their content security policy in a real browser: they do all they do, and only those who may show them in a frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, PHOTO_SHOWN, RESULT_MS, Tab
from tests.support.foreign_site import ForeignSite, foreign_site
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
APP = (str(ROOT / "app_optimized.py"),)


@pytest.fixture(scope="module")
def site() -> Iterator[ForeignSite]:
    with foreign_site() as site:
        yield site


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, site: ForeignSite) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("policy"), APP, TALKING_HEAD_FRAME_ANCESTORS=site.origin("localhost"))
    site.pages["/"] = f"<iframe src='{server.url}' width=900 height=900></iframe>"
    yield server
    stop_app(server)


def test_all_that_the_page_does_is_allowed(tab: Tab) -> None:
    page = tab.page
    tab.give()
    tab.generate()
    page.locator("#th-video video").wait_for(timeout=RESULT_MS)
    page.wait_for_function("document.querySelector('#th-video video').videoWidth > 0", timeout=RESULT_MS)

    page.get_by_role("tab", name="Stream", exact=True).click()
    page.locator("#th-stream-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-stream-photo img").first.wait_for(timeout=10_000)
    page.locator("#th-stream-speech input[type=file]").first.set_input_files(SPEECH)
    page.locator("#th-stream-speech input[type=file]").first.wait_for(state="detached", timeout=10_000)
    page.locator("#th-stream-play").click()
    page.wait_for_function("Number(document.querySelector('.th-stage').dataset.clips) === 1", timeout=RESULT_MS)

    page.get_by_role("tab", name="Videos", exact=True).click()
    page.locator("#th-results video").first.wait_for(timeout=10_000)
    page.get_by_role("link", name="Deutsch").click()
    page.locator("#th-generate", has_text="Erzeugen").wait_for(timeout=20_000)
    page.wait_for_function(PHOTO_SHOWN, timeout=10_000)
    assert tab.forbidden == []
    assert tab.outside() == []


def test_a_script_cannot_send_anything_elsewhere(tab: Tab) -> None:
    sent = "fetch('http://localhost:9/').then(() => 'sent', () => 'blocked')"
    assert tab.page.evaluate(sent) == "blocked"
    assert any("connect-src" in said for said in tab.forbidden)


def test_only_who_may_shows_the_page_in_a_frame(browser, server: Server, site: ForeignSite) -> None:
    page = browser.new_page()
    page.goto(site.origin("localhost"))
    page.frame_locator("iframe").locator("#th-generate").wait_for(timeout=20_000)
    forbidden: list[str] = []
    page.on("console", lambda message: forbidden.append(message.text))
    page.goto(site.origin())  # another origin
    page.wait_for_timeout(1000)
    assert page.frame_locator("iframe").locator("#th-generate").count() == 0
    assert any("frame-ancestors" in said for said in forbidden)
    page.close()
