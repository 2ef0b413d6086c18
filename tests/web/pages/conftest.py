"""A browser, and a tab in it on the page of the test's own server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_process import Server
from tests.support.browser import CHROMIUM, QUIET, Tab


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def tab(browser, server: Server) -> Iterator[Tab]:
    tab = Tab(browser, server)
    yield tab
    tab.context.close()
