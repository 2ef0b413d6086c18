"""The Live tab in a real browser whose microphone is a recording: on the page of app_optimized.py, and on that of the server behind its
key, over https.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, CHROMIUM, QUIET, RESULT_MS, SHOWS_MS, Tab, faults
from tests.support.live_tab import SHOWN, moves, open_live, press, start
from tests.support.paths import ROOT
from tests.support.proxies import NAME, nginx

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]
SPEECH = ROOT / "assets" / "speech_16s.wav"
KEY = "a-key-of-the-tests-of-the-live-tab"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
HEARD = f"--use-file-for-fake-audio-capture={SPEECH}"
NO_MEDIA_SOURCE = "delete window.MediaSource; delete window.ManagedMediaSource; delete window.RTCPeerConnection;"


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Its microphone hears a recording, over and over; it knows where the server of the proxies' guide is."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    devices = ("--use-fake-device-for-media-stream", HEARD)
    names = (f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--disable-features=HttpsUpgrades")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *devices, *names])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("live"), (str(ROOT / "app_optimized.py"),), TALKING_HEAD_ALLOWED_HOSTS=NAME)
    yield server
    stop_app(server)


def test_the_voice_moves_the_face_until_it_is_stopped(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, permissions=["microphone"], viewport={"width": 1280, "height": 720})
    page = open_live(tab)
    page.locator("#th-live-start").click()
    page.locator("#th-live-status .th-error").wait_for(timeout=SHOWS_MS)  # no photo yet
    start(page)
    moves(page)
    assert page.evaluate(f"{SHOWN}.videoWidth") == 320
    assert "behind your voice" in page.locator(".th-live-delay").inner_text()
    assert page.evaluate(f"{SHOWN}.muted"), "the own voice is not played back unless that is wanted"
    press(page, "sound")
    assert page.evaluate(f"[{SHOWN}.muted, {SHOWN}.volume]") == [False, 1]
    page.get_by_text("use headphones").wait_for(timeout=SHOWS_MS)
    assert faults(page) == []

    press(page, "mute")
    page.get_by_text("The microphone is off.").wait_for(timeout=SHOWS_MS)
    page.wait_for_function("document.querySelector('.th-live-level').value === 0", timeout=SHOWS_MS)
    press(page, "mute")
    page.wait_for_function("document.querySelector('.th-live-note').textContent === 'Speaking.'", timeout=RESULT_MS)
    page.evaluate("delete document.querySelector('.th-live').dataset.delayMs")
    press(page, "interrupt")
    moves(page)  # what is said from now on

    page.locator("#th-live-panel select").select_option("256")
    page.wait_for_function(f"{SHOWN}.videoWidth === 256", timeout=RESULT_MS)
    page.locator("#th-live-panel [data-bar=larger]").click()
    page.wait_for_function(f"{SHOWN}.offsetWidth > 430", timeout=SHOWS_MS)
    page.locator("#th-live-panel [data-bar=full_screen]").click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('th-player')", timeout=SHOWS_MS)
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null", timeout=SHOWS_MS)

    press(page, "stop")
    page.locator("#th-live-start").wait_for(timeout=SHOWS_MS)
    assert page.evaluate("document.activeElement.id") == "th-live-start"
    assert not page.locator(".th-device").count()
    page.locator("#th-live-person [data-key]").nth(1).wait_for(timeout=SHOWS_MS)  # the photo is among the avatars
    assert tab.outside() == []
    assert tab.forbidden == []
    tab.context.close()


def test_a_microphone_that_is_denied_says_what_to_do(browser: Any, server: Server) -> None:
    tab = Tab(browser, server, locale="de-DE", **PHONE)
    page = open_live(tab)
    page.locator("#th-live-example").click()
    page.locator("#th-live-photo img").first.wait_for(timeout=SHOWS_MS)
    page.locator("#th-live-start").click()
    said = page.locator("#th-live .th-device[role=alert]")
    said.wait_for(timeout=SHOWS_MS)
    assert "Der Browser" in said.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tab.context.close()


def test_a_page_over_http_and_a_browser_without_media_source_say_so_at_once(browser: Any, server: Server) -> None:
    elsewhere = Server(server.url.replace("127.0.0.1", NAME), server.process, server.folder, server.log)
    tab = Tab(browser, elsewhere)
    page = open_live(tab)
    assert not page.evaluate("isSecureContext")
    page.locator("#th-live .th-device", has_text="pages with https only").wait_for(timeout=SHOWS_MS)
    tab.context.close()
    tab = Tab(browser, server, permissions=["microphone"])
    tab.page.add_init_script(NO_MEDIA_SOURCE)
    tab.page.reload()
    page = open_live(tab)
    said = page.locator("#th-live .th-device", has_text="Media Source Extensions")
    said.wait_for(timeout=SHOWS_MS)
    page.locator("#th-live-start").click()
    said.wait_for(timeout=SHOWS_MS)
    assert page.locator("#th-live-panel").is_hidden()
    tab.context.close()


def test_behind_the_key_over_https(browser: Any, tmp_path: Path) -> None:
    command = (str(ROOT / "api_server.py"), "--ditto", "off")
    trust = {"TALKING_HEAD_API_KEYS": KEY, "TALKING_HEAD_TRUSTED_PROXIES": "127.0.0.1", "TALKING_HEAD_ALLOWED_HOSTS": NAME}
    server = start_app(tmp_path, command, ready=b"answers at", **trust)
    try:
        with nginx("nginx", server.url.removeprefix("http://").rstrip("/"), tmp_path) as proxy:
            context = browser.new_context(permissions=["microphone"], ignore_https_errors=True, locale="en-GB", **PHONE)
            page = context.new_page()
            sockets: list[str] = []
            page.on("websocket", lambda socket: sockets.append(socket.url))
            page.goto(proxy.url)
            page.fill("input[name=key]", KEY)
            page.click("button")
            page.get_by_role("tab", name="Live", exact=True).click(timeout=60_000)
            page.locator("#th-live-start").wait_for(timeout=SHOWS_MS)
            start(page)
            moves(page)
            assert any(address.startswith(f"wss://{proxy.host}/talking_head_live?") for address in sockets)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert min(page.locator("#th-live-panel button:visible").evaluate_all("all => all.map(each => each.offsetHeight)")) >= 44
            context.close()
    finally:
        stop_app(server)
