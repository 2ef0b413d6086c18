"""A browser, and a tab in it on the page of the test's own server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_process import Server
from tests.support.browser import Tab, browser_with


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with browser_with() as browser:
        yield browser


@pytest.fixture
def tab(browser, server: Server) -> Iterator[Tab]:
    tab = Tab(browser, server)
    yield tab
    tab.context.close()
