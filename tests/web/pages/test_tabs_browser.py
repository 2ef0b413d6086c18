"""What a visitor does in one tab shows in the others; a new video leaves the one before in its place; a queued job ends at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, SHOWS_MS, Tab
from tests.support.paths import PORTRAIT, ROOT

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
LONG = ROOT / "assets" / "speech_16s.wav"
RUNNING = re.compile(r"\d+ of \d+ frames")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("tabs"), (str(ROOT / "app_optimized.py"),))
    yield server
    stop_app(server)


@pytest.fixture
def other(tab: Tab, server: Server) -> Any:
    """A second tab of the same visitor."""
    page = tab.context.new_page()
    page.goto(server.url, wait_until="domcontentloaded")
    page.locator("#th-generate").wait_for(timeout=20_000)
    return page


def open_tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def register(page: Any) -> None:
    open_tab(page, "Avatars")
    page.locator("#th-avatar-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-avatar-photo img").first.wait_for(timeout=SHOWS_MS)
    page.get_by_label("Name").first.fill("Ada")
    page.locator("#th-avatar-consent input").check()
    page.locator("#th-avatar-register").click()
    page.locator("#th-avatars .th-card").wait_for(timeout=RESULT_MS)


def choose_size(tab: Tab, size: int) -> None:
    tab.page.get_by_text("More options").click()
    field = tab.page.get_by_label("Video size")
    field.fill(str(size))
    field.press("Enter")
    tab.page.get_by_text("More options").click()


def generate_small(tab: Tab) -> str:
    """The address of the video."""
    tab.give()
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    video = tab.page.locator("#th-video video")
    video.wait_for(timeout=RESULT_MS)
    return str(video.get_attribute("src"))


def make_of_avatar(tab: Tab) -> None:
    tab.page.locator("#th-avatar-use").click()
    tab.page.locator("#th-person .th-card[aria-pressed=true]", has_text="Ada").wait_for(timeout=SHOWS_MS)
    tab.give(photo=None)
    tab.generate()
    tab.page.locator("#th-video video").wait_for(timeout=RESULT_MS)


def test_an_avatar_that_is_deleted_is_gone_from_every_tab_with_its_videos(tab: Tab, other: Any) -> None:
    register(tab.page)
    open_tab(other, "Avatars")
    other.locator("#th-avatars .th-card", has_text="Ada").wait_for(timeout=SHOWS_MS)  # it came by itself
    open_tab(other, "Generate")
    other.locator("#th-person .th-card", has_text="Ada").click()
    other.locator("#th-person .th-card[aria-pressed=true]", has_text="Ada").wait_for(timeout=SHOWS_MS)
    make_of_avatar(tab)
    open_tab(other, "Videos")
    other.locator("#th-results video").first.wait_for(timeout=SHOWS_MS)

    open_tab(tab.page, "Avatars")
    tab.page.locator("#th-avatars .th-card").click()
    tab.page.locator("#th-avatar-delete").click()
    tab.page.get_by_role("button", name="Delete for good?").click()
    tab.page.get_by_text("No avatars yet").wait_for(timeout=SHOWS_MS)
    other.get_by_text("No videos yet").wait_for(timeout=SHOWS_MS)
    open_tab(other, "Generate")
    other.locator("#th-person").wait_for(state="hidden", timeout=SHOWS_MS)
    assert other.locator("#th-photo").is_visible(), "a new photo is asked for"
    open_tab(other, "Avatars")
    other.get_by_text("No avatars yet").wait_for(timeout=SHOWS_MS)
    open_tab(tab.page, "Generate")
    tab.page.locator("#th-video video").wait_for(state="detached", timeout=SHOWS_MS)
    assert tab.page.locator("#th-download").is_hidden()


def test_clearing_in_one_tab_clears_every_tab(tab: Tab, other: Any) -> None:
    register(tab.page)
    open_tab(tab.page, "Generate")
    generate_small(tab)
    open_tab(other, "Videos")
    other.locator("#th-results video").first.wait_for(timeout=SHOWS_MS)
    open_tab(tab.page, "Status")
    tab.page.locator("#th-clear").click()
    tab.page.get_by_role("button", name="Delete all for good?").click()
    other.get_by_text("No videos yet").wait_for(timeout=SHOWS_MS)
    for page in (tab.page, other):
        open_tab(page, "Avatars")
        page.get_by_text("No avatars yet").wait_for(timeout=SHOWS_MS)
    open_tab(tab.page, "Generate")
    tab.page.locator("#th-video video").wait_for(state="detached", timeout=SHOWS_MS)


def test_the_video_before_stays_while_a_new_one_is_made_and_when_it_is_cancelled(tab: Tab) -> None:
    page = tab.page
    before = generate_small(tab)
    page.locator("#th-speech").get_by_label("Clear").click()
    tab.give(photo=None, speech=LONG)
    choose_size(tab, 1024)
    tab.generate()
    page.locator("#th-status").get_by_text(RUNNING).wait_for(timeout=RESULT_MS)
    video = page.locator("#th-video video")
    assert video.is_visible()
    assert video.get_attribute("src") == before
    assert page.locator("#th-download").is_visible()
    video.evaluate("video => { video.muted = true; video.currentTime = 0; return video.play(); }")
    page.wait_for_function("document.querySelector('#th-video video').currentTime > 0.2", timeout=SHOWS_MS)
    page.locator("#th-cancel").click()
    page.get_by_text("Cancelled. Nothing was kept.").wait_for(timeout=SHOWS_MS)
    assert video.is_visible()
    assert video.get_attribute("src") == before
    with page.expect_download(timeout=SHOWS_MS) as download:
        page.locator("#th-download a").first.click()
    assert download.value.suggested_filename.endswith(".mp4")


def test_a_queued_job_is_cancelled_while_another_runs(browser, server: Server, tab: Tab) -> None:
    """At once: nothing waits for the job before it, or for the next look at the queue."""
    tab.give(speech=LONG)
    choose_size(tab, 1536)  # it must not be done before the other one has come
    tab.generate()
    tab.page.locator("#th-status").get_by_text(RUNNING).wait_for(timeout=RESULT_MS)
    waiting = Tab(browser, server)
    waiting.give(speech=LONG)  # no example of the page: the videos of those are kept for all
    waiting.generate()
    waiting.page.get_by_text("place 1 in the queue").wait_for(timeout=RESULT_MS)
    waiting.page.locator("#th-cancel").click()
    waiting.page.get_by_text("Cancelled. Nothing was kept.").wait_for(timeout=SHOWS_MS)
    assert tab.page.locator("#th-status").get_by_text(RUNNING).is_visible(), "the other one still runs"
    assert waiting.page.locator("#th-cancel").is_hidden()
    assert waiting.page.locator("#th-generate").is_enabled()
    waiting.context.close()
    tab.page.locator("#th-cancel").click()
    tab.page.get_by_text("Cancelled. Nothing was kept.").wait_for(timeout=SHOWS_MS)
