"""A headless Chromium for the tests of the pages."""

from __future__ import annotations

import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.app_process import Server
from tests.support.paths import PORTRAIT, SPEECH
from tests.support.server_process import Process

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
RESULT_MS = 30_000
SHOWS_MS = 20_000
PHOTO_SHOWN = "document.querySelector('#th-photo img')?.naturalWidth > 0"
"""True in the page once the picture of the person is drawn."""

BROWSER_MARKS = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page was not tried in a browser"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@contextmanager
def browser_with(*arguments: str) -> Iterator[Any]:
    """arguments: of Chromium, beside the usual ones."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *arguments])
        yield browser
        browser.close()


class Tab:
    """An open page, every address it asked for, and what the browser did not let it do."""

    def __init__(self, browser, server: Server | Process, key: str = "", **options: object) -> None:
        """key: what the server lets in."""
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.addresses: list[str] = []
        self.forbidden: list[str] = []
        self.page.on("console", lambda message: self.forbidden.append(message.text) if "Security Policy" in message.text else None)
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.goto(server.url, wait_until="domcontentloaded")
        if key:
            self.page.get_by_label("Key").fill(key)
            self.page.get_by_role("button", name="Log in").click()
        self.page.locator("#th-generate").wait_for(timeout=20_000)

    def give(self, photo: Path | None = PORTRAIT, speech: Path | None = SPEECH) -> None:
        if photo is not None:
            self.page.locator("#th-photo input[type=file]").first.set_input_files(photo)
            self.page.locator("#th-photo img").first.wait_for(timeout=10_000)
        if speech is not None:
            self.page.locator("#th-speech input[type=file]").first.set_input_files(speech)
            self.page.locator("#th-speech input[type=file]").first.wait_for(state="detached", timeout=10_000)

    def generate(self) -> None:
        self.page.locator("#th-generate").click()

    def outside(self) -> list[str]:
        """Addresses beyond this machine."""
        inside = ("127.0.0.1", "localhost", None)
        return [address for address in self.addresses if urllib.parse.urlsplit(address).hostname not in inside]


LAPTOP = {"viewport": {"width": 1280, "height": 720}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


AS_PHONE = {**PHONE, "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36"}
"""A phone that says that it is one."""
FAKE_DEVICES = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


class Visitor:
    """Someone who has never seen the page, and how often they do something: a click, a tap, a file that is chosen."""

    def __init__(self, tab: Tab, touch: bool) -> None:
        self.page, self._touch = tab.page, touch
        self.actions = 0

    def press(self, selector: str) -> None:
        self.actions += 1
        target = self.page.locator(selector).locator("visible=true").first
        if self._touch:
            target.tap()
        else:
            target.click()

    def choose(self, selector: str, file: Path) -> None:
        """Presses what opens the choice of a file, and chooses one."""
        with self.page.expect_file_chooser(timeout=RESULT_MS) as chooser:
            self.press(selector)
        chooser.value.set_files(file)


def faults(page: Any) -> list[str]:
    """What axe-core calls serious or critical, with the first place of each."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found if each["impact"] in ("serious", "critical")]
