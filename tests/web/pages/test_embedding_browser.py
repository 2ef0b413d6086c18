"""Gradio's own ways stay: the theme in the address, also in another language, and the API page; no tab asks for anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, Tab
from tests.support.paths import ROOT

pytestmark = BROWSER_MARKS
SHOWS_MS = 20_000
DARK = "document.body.classList.contains('dark')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("embedding"), (str(ROOT / "app_optimized.py"),))
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
