"""What is wrong with a photo is said beside it when it is chosen, in the page's language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, Tab
from tests.support.paths import PORTRAIT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("photo"))
    yield server
    stop_app(server)


def choose(tab: Tab, path: Path, pixels: np.ndarray) -> None:
    cv2.imwrite(str(path), pixels)
    tab.give(photo=path, speech=None)


@pytest.fixture
def portrait() -> np.ndarray:
    return cv2.imread(str(PORTRAIT))


def test_a_photo_that_cannot_be_used_says_so_at_once(tab: Tab, tmp_path: Path, portrait: np.ndarray) -> None:
    error = tab.page.locator("#th-faces .th-error")
    choose(tab, tmp_path / "nobody.png", np.full((300, 300, 3), 200, np.uint8))
    error.get_by_text("No face was found").wait_for(timeout=RESULT_MS)
    assert error.get_attribute("role") == "alert"
    choose(tab, tmp_path / "tiny.png", portrait[:20, :20])
    error.get_by_text("too small: 20 × 20 pixels").wait_for(timeout=RESULT_MS)
    choose(tab, tmp_path / "half.png", portrait[:, 210:])
    error.get_by_text("cut off by the edge").wait_for(timeout=RESULT_MS)
    choose(tab, tmp_path / "good.png", portrait)
    error.wait_for(state="detached", timeout=RESULT_MS)
    assert tab.page.locator("#th-faces .th-card").count() == 1


def test_warnings_are_in_the_language_of_the_page(browser: object, server: Server, tmp_path: Path, portrait: np.ndarray) -> None:
    tab = Tab(browser, server, locale="de-DE")
    choose(tab, tmp_path / "dark.png", (portrait * 0.18).astype(np.uint8))
    tab.page.locator("#th-faces .th-warning").get_by_text("Das Gesicht ist dunkel").wait_for(timeout=RESULT_MS)
    tab.context.close()


def test_each_face_has_its_own_faults(tab: Tab, tmp_path: Path, portrait: np.ndarray) -> None:
    """The second one stands so low that the edge cuts off its chin."""
    both = np.concatenate((portrait, np.full_like(portrait, 120)), axis=1)
    both[-146:, portrait.shape[1] :] = portrait[:146]
    choose(tab, tmp_path / "both.png", both)
    cards = tab.page.locator("#th-faces .th-card")
    cards.nth(1).wait_for(timeout=RESULT_MS)
    error = tab.page.locator("#th-faces .th-error")
    assert error.is_hidden()
    cards.nth(1).click()
    error.get_by_text("cut off by the edge").wait_for(timeout=RESULT_MS)
    cards.nth(0).click()
    error.wait_for(state="hidden", timeout=RESULT_MS)
