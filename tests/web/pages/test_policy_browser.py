"""The pages under their content security policy in a real browser: they do all they do, and only those who may show them in a frame."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.app_process import Server, start_app, stop_app
from tests.support.browser import BROWSER_MARKS, RESULT_MS, Tab
from tests.support.paths import PORTRAIT, ROOT, SPEECH

pytestmark = BROWSER_MARKS
APP = (str(ROOT / "app_optimized.py"),)


class Framing(BaseHTTPRequestHandler):
    """A page of another origin with ours in a frame."""

    shown = ""

    def do_GET(self) -> None:
        page = f"<!doctype html><title>frame</title><iframe src='{self.shown}' width=900 height=900></iframe>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def framing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Framing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, framing: str) -> Iterator[Server]:
    server = start_app(tmp_path_factory.mktemp("policy"), APP, TALKING_HEAD_FRAME_ANCESTORS=framing)
    Framing.shown = server.url
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
    page.wait_for_function("document.querySelector('#th-photo img')?.naturalWidth > 0", timeout=10_000)
    assert tab.forbidden == []
    assert tab.outside() == []


def test_a_script_cannot_send_anything_elsewhere(tab: Tab) -> None:
    sent = "fetch('http://localhost:9/').then(() => 'sent', () => 'blocked')"
    assert tab.page.evaluate(sent) == "blocked"
    assert any("connect-src" in said for said in tab.forbidden)


def test_only_who_may_shows_the_page_in_a_frame(browser, server: Server, framing: str) -> None:
    page = browser.new_page()
    page.goto(framing)
    page.frame_locator("iframe").locator("#th-generate").wait_for(timeout=20_000)
    forbidden: list[str] = []
    page.on("console", lambda message: forbidden.append(message.text))
    page.goto(framing.replace("localhost", "127.0.0.1"))  # another origin
    page.wait_for_timeout(1000)
    assert page.frame_locator("iframe").locator("#th-generate").count() == 0
    assert any("frame-ancestors" in said for said in forbidden)
    page.close()
