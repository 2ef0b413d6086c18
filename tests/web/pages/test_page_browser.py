"""The page in a real browser: Chromium, headless, as a visitor uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app_process import Server, probe, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, Tab
from tests.support.paths import ROOT, SPEECH

pytestmark = BROWSER_MARKS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("browser"))
    yield server
    stop_app(server)


def test_a_visitor_makes_watches_and_downloads_a_video(tab: Tab, tmp_path: Path) -> None:
    tab.give()
    tab.generate()
    video = tab.page.locator("#th-video video")
    video.wait_for(timeout=RESULT_MS)
    said = tab.page.locator("#th-status .th-result")
    said.wait_for(timeout=RESULT_MS)
    assert re.match(r"3 s, made in [\d.]+ s", said.inner_text())
    facts = said.locator(".th-facts")
    assert facts.is_hidden()
    said.get_by_text("Details").click()
    assert re.search(r"lite engine .* of speech in .* RTF .* first frame after \d+ ms", " ".join(facts.inner_text().splitlines()))

    video.evaluate("video => { video.muted = true; return video.play(); }")
    tab.page.wait_for_function("document.querySelector('#th-video video').currentTime > 0.3", timeout=10_000)
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [320, 320]

    with tab.page.expect_download(timeout=10_000) as download:
        tab.page.locator("#th-download a").first.click()
    assert re.fullmatch(r"portrait \d{4}-\d\d-\d\d \d\d\.\d\d\.mp4", download.value.suggested_filename)
    saved = tmp_path / "saved.mp4"
    download.value.save_as(saved)
    assert probe(str(saved))[:2] == (320, 320)
    assert tab.outside() == []
    assert tab.page.locator("#th-cancel").is_hidden()
    assert tab.page.locator("#th-generate").is_enabled()


def test_an_example_fills_both_inputs_and_works(tab: Tab) -> None:
    tab.page.locator("#th-examples button").first.click()
    tab.page.locator("#th-photo img").first.wait_for(timeout=10_000)
    tab.page.locator("#th-speech input[type=file]").first.wait_for(state="detached", timeout=10_000)
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    assert tab.outside() == []


def test_what_is_missing_is_said(tab: Tab) -> None:
    error = tab.page.locator("#th-status .th-error")
    tab.generate()
    error.wait_for(timeout=10_000)
    assert "A photo or video and a recording are missing" in error.inner_text()
    assert tab.page.locator(".toast-body").count() == 0, "it is said once"
    tab.give(speech=None)
    tab.generate()
    tab.page.get_by_text("The recording is missing").first.wait_for(timeout=10_000)


def test_a_file_that_is_no_recording_is_explained(tab: Tab, server: Server, tmp_path: Path) -> None:
    """At once: what no recording begins with is not taken."""
    fake = tmp_path / "fake <b>.wav"
    fake.write_text("no sound\n" * 5000)
    tab.page.locator("#th-speech input[type=file]").first.set_input_files(fake)
    toast = tab.page.locator(".toast-body").first
    toast.wait_for(timeout=10_000)
    assert "fake _b_.wav is neither a photo nor a recording that can be used here." in toast.inner_text()
    assert str(server.folder) not in toast.inner_text()
    tab.give(photo=None)  # and another can be chosen


def test_a_damaged_recording_is_explained(tab: Tab, server: Server, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged <b>.wav"
    damaged.write_bytes(SPEECH.read_bytes()[:30])
    tab.give(speech=damaged)
    tab.generate()
    error = tab.page.locator("#th-status .th-error")
    error.wait_for(timeout=RESULT_MS)
    assert ".wav" in error.inner_text()
    assert str(server.folder) not in error.inner_text()
    assert " /" not in error.inner_text()


def test_a_file_that_is_no_photo_is_explained(browser, server: Server, tmp_path: Path) -> None:
    """In the language of the page."""
    tab = Tab(browser, server, locale="de-DE")
    fake = tmp_path / "fake.png"
    fake.write_text("no picture\n" * 500)
    tab.page.locator("#th-photo input[type=file]").first.set_input_files(fake)
    toast = tab.page.locator(".toast-body").first
    toast.wait_for(timeout=10_000)
    assert "fake.png ist weder ein Foto noch eine Aufnahme" in toast.inner_text()
    tab.give(speech=None)
    tab.context.close()


def test_an_upload_beyond_the_limit_is_explained(tab: Tab, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as stream:
        stream.truncate(301 * 2**20)  # a video may have 300 MiB
    tab.page.locator("#th-speech input[type=file]").first.set_input_files(large)
    toast = tab.page.locator(".toast-body").first
    toast.wait_for(timeout=20_000)
    assert "size" in toast.inner_text().lower(), toast.inner_text()


def generate_for_long(tab: Tab, size_px: int) -> None:
    """Begins a video that takes many seconds."""
    tab.give(speech=ROOT / "assets" / "speech_16s.wav")
    tab.page.get_by_text("More options").click()
    size = tab.page.get_by_label("Video size")
    size.fill(str(size_px))
    size.press("Enter")
    tab.generate()


def test_cancel_stops_the_job_and_the_page_can_go_on(tab: Tab, server: Server) -> None:
    generate_for_long(tab, 1024)
    tab.page.locator("#th-status").get_by_text(re.compile(r"\d+ of \d+ frames")).wait_for(timeout=RESULT_MS)
    tab.page.locator("#th-cancel").click()
    tab.page.get_by_text("Cancelled. Nothing was kept.").wait_for(timeout=5_000)
    left = [folder for folder in (server.folder / "out" / "videos").iterdir() if len(folder.name) == 48 and not list(folder.glob("*.mp4"))]
    assert left == []
    size = tab.page.get_by_label("Video size")
    size.fill("128")
    size.press("Enter")
    tab.generate()
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)


@pytest.mark.slow
def test_the_job_goes_on_when_the_page_is_left_and_another_tab_finds_it(browser, server: Server) -> None:
    tab = Tab(browser, server)
    generate_for_long(tab, 768)
    running = re.compile(r"\d+ of \d+ frames")
    tab.page.locator("#th-status").get_by_text(running).wait_for(timeout=RESULT_MS)
    other = tab.context.new_page()
    tab.page.close()
    other.goto(server.url)
    other.locator("#th-status").get_by_text(running).wait_for(timeout=RESULT_MS)
    other.get_by_text("More options").click()  # what is folded is not in the page yet
    assert other.get_by_label("Video size").input_value() == "768 pixels"
    assert other.locator("#th-photo img").count() > 0
    other.reload()
    other.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
    assert other.locator("#th-video video").get_attribute("src")
    tab.context.close()


@pytest.mark.slow
def test_a_connection_that_is_lost_for_a_moment_loses_nothing(tab: Tab) -> None:
    generate_for_long(tab, 768)
    tab.page.locator("#th-status").get_by_text(re.compile(r"\d+ of \d+ frames")).wait_for(timeout=RESULT_MS)
    tab.context.set_offline(True)
    tab.page.wait_for_timeout(1500)
    tab.context.set_offline(False)
    tab.page.locator("#th-status .th-result").wait_for(timeout=2 * RESULT_MS)
    assert tab.page.locator("#th-video video").get_attribute("src")


def test_it_fits_a_phone_in_dark_mode(browser, server: Server) -> None:
    tab = Tab(browser, server, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True, is_mobile=True)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.page.evaluate("document.body.classList.contains('dark')")
    tab.context.close()


def test_a_recording_that_cannot_be_used_is_told_before_a_video_is_asked_for(tab: Tab, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp3"
    damaged.write_bytes(b"ID3 and nothing that plays")
    tab.give(photo=None, speech=damaged)
    said = tab.page.get_by_role("alert").filter(has_text="This recording cannot be used")
    said.wait_for(timeout=RESULT_MS)
    assert "damaged.mp3 is damaged" in said.inner_text()
    tab.page.get_by_label("Clear").locator("visible=true").first.click()
    said.wait_for(state="detached", timeout=RESULT_MS)


@pytest.mark.slow
def test_a_server_that_is_gone_is_told_in_the_language_of_the_page(browser, tmp_path: Path) -> None:
    """By Gradio, which knows these words in English alone."""
    server = start_app(tmp_path)
    try:
        tab = Tab(browser, server, locale="de-DE")
        stop_app(server)
        tab.generate()
        tab.page.get_by_text("Der Server ist nicht zu erreichen.").first.wait_for(timeout=RESULT_MS)
        assert tab.page.locator(".toast-title").first.inner_text().strip() in ("Fehler", "Verbindung unterbrochen")
        assert tab.page.locator(".toast-close").first.get_attribute("aria-label") == "Schließen"
        tab.context.close()
    finally:
        stop_app(server)
