"""app_optimized.py in a real browser: avatars, past videos, languages, settings, and fetching Ditto."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, Tab
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
APP = (str(ROOT / "app_optimized.py"),)
SLOW_DITTO = """
import sys, app
from core.errors import Cancelled, EngineUnavailable
from core.studio import EngineSource
arrived = [0]
def fetch(on_bytes, cancel):
    for step in range(arrived[0], 40):
        arrived[0] = step
        on_bytes(step * 2**20, 40 * 2**20)
        if cancel.wait(0.05):
            raise Cancelled("stopped")
        if step == 30:
            arrived[0] = 31
            raise EngineUnavailable("The Hub cannot be reached for /secret/folder/file.", "Try later.")
def make():
    raise EngineUnavailable("nothing to load")
app.offer_ditto = lambda settings, mode: EngineSource(make, fetch, lambda: (40 - arrived[0]) * 2**20)
sys.exit(app.main(sys.argv[1:], everything=True))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("browser"), ("-c", SLOW_DITTO))
    yield server
    stop_app(server)


def open_tab(tab: Tab, name: str) -> None:
    tab.page.get_by_role("tab", name=name, exact=True).click()


def register(tab: Tab, photo: Path = PORTRAIT, name: str = "Ada", agreed: bool = True) -> None:
    open_tab(tab, "Avatars")
    tab.page.locator("#th-avatar-photo input[type=file]").first.set_input_files(photo)
    tab.page.locator("#th-avatar-photo img").first.wait_for(timeout=10_000)
    tab.page.get_by_label("Name").first.fill(name)
    if agreed:
        tab.page.locator("#th-avatar-consent input").check()
    tab.page.locator("#th-avatar-register").click()


def facts(tab: Tab) -> str:
    tab.page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    return str(tab.page.locator("#th-status .th-result").text_content())


def test_an_avatar_from_its_photo_to_its_end(tab: Tab) -> None:
    """Consent first; registered, used, found again after a reload with its video; renamed; deleted with what was made of it."""
    page = tab.page
    register(tab, name="Ada <b> ${1}", agreed=False)
    page.locator("#th-avatar-status .th-error").wait_for(timeout=10_000)
    assert "agreed" in page.locator("#th-avatar-status .th-error").inner_text()
    page.locator("#th-avatar-consent input").check()
    page.locator("#th-avatar-register").click()
    card = page.locator("#th-avatars .th-card")
    card.wait_for(timeout=RESULT_MS)
    assert card.inner_text() == "Ada <b> ${1}"
    assert card.locator("img").evaluate("img => img.naturalWidth") > 100
    assert card.locator("img").get_attribute("src").startswith("data:")

    page.locator("#th-avatar-use").click()
    page.locator("#th-person .th-card[aria-pressed=true]", has_text="Ada").wait_for(timeout=10_000)
    assert page.locator("#th-photo").is_hidden()
    tab.give(photo=None)
    tab.generate()
    page.locator("#th-video video").wait_for(timeout=RESULT_MS)
    assert "labelled “AI”" in facts(tab)

    page.reload()
    page.get_by_text("Your last video").wait_for(timeout=20_000)
    assert page.locator("#th-video video").evaluate("video => video.videoWidth") in (0, 320)
    page.locator("#th-person .th-card", has_text="Ada").wait_for(timeout=10_000)
    open_tab(tab, "Videos")
    past = page.locator("#th-results video")
    past.first.wait_for(timeout=10_000)
    assert past.count() == 1
    past.first.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("document.querySelector('#th-results video').currentTime > 0.2", timeout=10_000)

    open_tab(tab, "Avatars")
    page.locator("#th-avatars .th-card").click()
    new_name = page.locator("#th-avatar-new-name input, #th-avatar-new-name textarea")
    new_name.wait_for(timeout=10_000)
    new_name.fill("Bea")
    page.locator("#th-avatar-rename").click()
    page.locator("#th-avatars .th-card", has_text="Bea").wait_for(timeout=10_000)
    page.locator("#th-avatar-delete").click()
    page.get_by_role("button", name="Delete for good?").click()
    page.get_by_text("No avatars yet").wait_for(timeout=10_000)
    open_tab(tab, "Videos")
    page.get_by_text("No videos yet").wait_for(timeout=10_000)
    assert tab.outside() == []


def test_another_visitor_sees_nothing_of_it(browser, server: Server, tab: Tab) -> None:  # noqa: F811
    register(tab)
    tab.page.locator("#th-avatars .th-card").wait_for(timeout=RESULT_MS)
    other = Tab(browser, server)
    open_tab(other, "Avatars")
    other.page.get_by_text("No avatars yet").wait_for(timeout=10_000)
    other.context.close()


def test_the_face_that_is_clicked_speaks(tab: Tab, tmp_path: Path) -> None:
    portrait = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    small = np.asarray(Image.fromarray(portrait).resize((portrait.shape[1] * 2 // 3, portrait.shape[0] * 2 // 3)))
    both = np.full((portrait.shape[0], portrait.shape[1] + small.shape[1], 3), 128, np.uint8)
    both[:, : portrait.shape[1]] = portrait
    both[: small.shape[0], portrait.shape[1] :] = small[:, ::-1]
    Image.fromarray(both).save(tmp_path / "two.png")
    tab.give(photo=tmp_path / "two.png")
    faces = tab.page.locator("#th-faces .th-card")
    faces.first.wait_for(timeout=RESULT_MS)
    assert faces.count() == 2
    assert "Several faces" in tab.page.locator("#th-faces").inner_text()
    assert [faces.nth(n).get_attribute("aria-pressed") for n in range(2)] == ["true", "false"]
    faces.nth(1).focus()
    tab.page.keyboard.press("Enter")
    assert [faces.nth(n).get_attribute("aria-pressed") for n in range(2)] == ["false", "true"]
    tab.page.get_by_text("More options").click()
    tab.page.get_by_label("Engine").click()
    tab.page.get_by_role("option", name="lite").click()
    tab.generate()
    assert "lite engine (it was chosen)" in facts(tab)


def test_a_photo_without_a_face_is_explained(tab: Tab, tmp_path: Path) -> None:
    Image.new("RGB", (256, 256), (40, 90, 160)).save(tmp_path / "wall.png")
    tab.give(photo=tmp_path / "wall.png")
    tab.generate()
    error = tab.page.locator("#th-status .th-error")
    error.wait_for(timeout=RESULT_MS)
    assert "No face was found" in error.inner_text()
    register(tab, tmp_path / "wall.png")
    error = tab.page.locator("#th-avatar-status .th-error")
    error.wait_for(timeout=RESULT_MS)
    assert "No face was found" in error.inner_text()
    assert tab.page.get_by_text("No avatars yet").is_visible()


def test_ditto_is_fetched_stopped_gone_on_with_and_its_failure_told(tab: Tab) -> None:
    page = tab.page
    open_tab(tab, "Status")
    page.get_by_role("button", name="Get Ditto (40.0 MiB)").click()
    page.get_by_text("Fetching Ditto").wait_for(timeout=10_000)
    page.get_by_text(re.compile(r"of 40\.0 MiB")).wait_for(timeout=10_000)
    page.get_by_role("button", name="Stop the download").click()
    resume = page.get_by_role("button", name=re.compile(r"Get Ditto \([\d.]+ MiB\)"))
    resume.wait_for(timeout=10_000)
    assert float(re.search(r"([\d.]+) MiB", resume.inner_text())[1]) < 40
    resume.click()
    page.get_by_text("Ditto could not be fetched").wait_for(timeout=10_000)
    said = page.locator("#th-ditto-status").inner_text()
    assert "Hub cannot be reached" in said
    assert "Try later." in said
    assert "/secret" not in said
    page.locator("#th-numbers table").first.wait_for(timeout=10_000)
    assert "lite" in page.locator("#th-numbers").inner_text()


def test_a_stream_plays_while_it_is_made_and_the_next_follows(tab: Tab) -> None:
    """Two clips: the second waits behind the first and takes over; what is not made yet can be stopped."""
    page = tab.page
    fronts = "document.querySelectorAll('.th-stage video.th-front')"
    open_tab(tab, "Stream")
    page.locator("#th-stream-photo input[type=file]").first.set_input_files(PORTRAIT)
    page.locator("#th-stream-photo img").first.wait_for(timeout=10_000)
    page.locator("#th-stream-speech input[type=file]").first.set_input_files(SPEECH)
    page.locator("#th-stream-speech input[type=file]").first.wait_for(state="detached", timeout=10_000)
    page.locator("#th-stream-play").click()
    page.wait_for_function(f"{fronts}[0]?.currentTime > 0.3", timeout=RESULT_MS)
    assert page.evaluate(f"[{fronts}[0].videoWidth, {fronts}[0].videoHeight]") == [320, 320]
    assert re.fullmatch(r"First picture after \d+ ms", page.locator(".th-stage-note").inner_text())
    page.locator("#th-stream-status .th-result").wait_for(timeout=RESULT_MS)
    assert "first frame after" in page.locator("#th-stream-status").text_content()
    first = page.evaluate(f"[...document.querySelectorAll('.th-stage video')].indexOf({fronts}[0])")
    page.locator("#th-stream-play").click()
    page.wait_for_function("document.querySelector('.th-stage').dataset.clips === '2'", timeout=RESULT_MS)
    assert page.evaluate(f"[...document.querySelectorAll('.th-stage video')].indexOf({fronts}[0])") == 1 - first
    page.wait_for_function(f"{fronts}[0].currentTime > 0.5 && {fronts}[0].volume === 1", timeout=10_000)

    page.locator("#th-stream-speech").get_by_label("Clear").click()
    page.locator("#th-stream-speech input[type=file]").first.set_input_files(ROOT / "assets" / "speech_16s.wav")
    page.locator("#th-stream-speech input[type=file]").first.wait_for(state="detached", timeout=10_000)
    page.locator("#th-stream-play").click()
    page.locator("#th-stream-stop").click()
    page.get_by_text("Cancelled. Nothing was kept.").wait_for(timeout=10_000)
    assert tab.outside() == []


def test_settings_follow_the_engine(tab: Tab) -> None:
    page = tab.page
    page.get_by_text("More options").click()
    page.get_by_label("Blinking").first.wait_for(timeout=10_000)
    assert page.get_by_label("Emotion").is_hidden()
    page.get_by_label("Engine").click()
    page.get_by_role("option", name="ditto").click()
    page.get_by_label("Emotion").wait_for(timeout=10_000)
    assert page.get_by_label("Blinking").first.is_hidden()


def test_the_page_speaks_german_and_fits_a_phone_in_dark_mode(browser, server: Server) -> None:  # noqa: F811
    tab = Tab(browser, server, locale="de-DE", viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True, is_mobile=True)
    page = tab.page
    assert page.locator("#th-generate").inner_text() == "Erzeugen"
    assert page.evaluate("document.body.classList.contains('dark')")
    for name in ("Avatare", "Videos", "Status", "Erzeugen"):
        open_tab(tab, name)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    tab.generate()
    page.locator("#th-status .th-error").wait_for(timeout=10_000)
    assert "Ein Foto oder Video und eine Aufnahme fehlen" in page.locator("#th-status").inner_text()
    page.get_by_role("link", name="English").click()
    page.get_by_role("button", name="Generate", exact=True).wait_for(timeout=20_000)
    page.get_by_role("link", name="Deutsch").click()
    page.get_by_role("button", name="Erzeugen", exact=True).wait_for(timeout=20_000)
    assert tab.outside() == []
    tab.context.close()


def test_without_a_gpu_dittos_settings_are_shown_but_cannot_be_set(browser, tmp_path: Path) -> None:  # noqa: F811
    server = start_app(tmp_path, (*APP, "--ditto", "off"))
    try:
        tab = Tab(browser, server)
        tab.page.get_by_text("More options").click()
        tab.page.get_by_text("It needs a GPU, and there is none here").wait_for(timeout=10_000)
        assert tab.page.get_by_label("Emotion").is_disabled()
        tab.give(speech=SPEECH)
        tab.generate()
        assert "lite engine" in facts(tab)
        tab.context.close()
    finally:
        stop_app(server)
