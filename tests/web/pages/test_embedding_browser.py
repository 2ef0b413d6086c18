"""Gradio's own ways stay: the theme in the address, the API page, a frame in another site's page; nothing is asked for from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.web.pages.launch import gradio_frontend
from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, FAKE_DEVICES, RESULT_MS, SHOWS_MS, Tab, browser_with
from tests.support.foreign_site import ForeignSite, foreign_site
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
MICROPHONE = "navigator.mediaDevices.getUserMedia({ audio: true }).then((stream) => stream.getAudioTracks().length, (error) => error.name)"
DARK = "document.body.classList.contains('dark')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browser_with(*FAKE_DEVICES) as browser:
        yield browser


@pytest.fixture(scope="module")
def site() -> Iterator[ForeignSite]:
    """With Gradio's own files for browsers, among them its web component."""
    with foreign_site(gradio_frontend()) as site:
        yield site


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, site: ForeignSite) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("embedding")
    server = start_app(folder, (str(ROOT / "app_optimized.py"),), TALKING_HEAD_FRAME_ANCESTORS=site.origin())
    frame = f"<iframe src='{server.url}' width=1200 height=860"
    site.pages["/"] = f"{frame} allow='microphone; camera'></iframe>"
    site.pages["/silent"] = f"{frame}></iframe>"
    site.pages["/component"] = f"<script type=module src=/gradio.js></script><gradio-app src='{server.url}'></gradio-app>"
    yield server
    stop_app(server)


def test_the_theme_in_the_address_counts_in_every_language(browser: Any, server: Server) -> None:
    tab = Tab(browser, Server(f"{server.url}?__theme=dark", server.process, server.folder, server.log), color_scheme="light")
    assert tab.page.evaluate(DARK)
    tab.context.close()
    german = Server(f"{server.url}?__theme=light&lang=de", server.process, server.folder, server.log)
    tab = Tab(browser, german, color_scheme="dark")
    assert tab.page.evaluate("document.documentElement.lang") == "de"
    assert not tab.page.evaluate(DARK)
    tab.context.close()


def test_every_tab_and_the_api_page_come_from_here_alone(tab: Tab) -> None:
    page = tab.page
    tabs = page.get_by_role("tab")
    names = [tabs.nth(n).inner_text() for n in range(tabs.count())]
    assert "Live" in names
    for name in names:
        page.get_by_role("tab", name=name, exact=True).click()
        page.locator("[role=tabpanel]:visible, .tabitem:visible").first.wait_for(timeout=SHOWS_MS)
    page.locator("footer .show-api").click()
    page.get_by_text("process_talking_head").first.wait_for(timeout=SHOWS_MS)
    assert tab.outside() == []
    assert tab.forbidden == []


def test_the_page_does_its_work_in_the_frame_of_who_may_show_it(server: Server, site: ForeignSite, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(site.origin())
    frame = page.frame_locator("iframe")
    frame.locator("#th-generate").wait_for(timeout=SHOWS_MS)
    frame.locator("#th-photo input[type=file]").first.set_input_files(PORTRAIT)
    frame.locator("#th-photo img").first.wait_for(timeout=SHOWS_MS)
    frame.locator("#th-speech input[type=file]").first.set_input_files(SPEECH)
    frame.locator("#th-speech input[type=file]").first.wait_for(state="detached", timeout=SHOWS_MS)
    frame.locator("#th-generate").click()
    frame.locator("#th-video video").wait_for(timeout=RESULT_MS)
    page.close()


def test_the_microphone_is_there_in_a_frame_that_allows_it(server: Server, site: ForeignSite, browser: Any) -> None:
    page = browser.new_page()
    for path, answer in (("/", 1), ("/silent", "NotAllowedError")):
        page.goto(site.origin() + path)
        page.frame_locator("iframe").locator("#th-generate").wait_for(timeout=SHOWS_MS)
        assert page.frames[1].evaluate(MICROPHONE) == answer
    page.close()


def test_gradios_web_component_is_refused_also_where_a_frame_is_not(server: Server, site: ForeignSite, browser: Any) -> None:
    """Its page would be part of the other one, whose scripts could read and do there all that the visitor can."""
    page = browser.new_page()
    config = f"{server.url}config"
    with page.expect_event("requestfailed", lambda asked: asked.url == config, timeout=SHOWS_MS):
        page.goto(f"{site.origin()}/component")
    assert httpx.get(config, headers={"Origin": site.origin()}).status_code == 403
    assert httpx.get(config).status_code == 200
    assert page.evaluate("customElements.get('gradio-app') !== undefined")
    assert page.locator("#th-generate").count() == 0
    page.close()
