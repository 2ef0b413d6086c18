"""Takes the pictures of docs/pictures: each tab of the whole page, as a laptop and as a phone shows it.

    python scripts/take_pictures.py [--out docs/pictures]

Needs requirements-dev.txt and a Chromium. Starts app_optimized.py on this machine with empty caches, makes one video, then visits the tabs.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
TABS = ("generate", "stream", "live", "chat", "avatars", "videos", "status")
"""In the order in which the page shows them."""
SCREENS: dict[str, dict[str, Any]] = {
    "laptop": {"viewport": {"width": 1280, "height": 720}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
COLOURS = 256
"""Of a picture: few are enough for a page, and the files stay small."""
START_S, RESULT_MS, SETTLE_MS = 90.0, 60_000, 1500


@contextmanager
def app(folder: Path) -> Iterator[str]:
    """The address of a page that runs while the block does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {"TALKING_HEAD_CACHE_DIR": str(folder / "cache"), "TALKING_HEAD_OUTPUT_DIR": str(folder / "out")}
    command = [sys.executable, str(ROOT / "app_optimized.py"), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **folders}, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"app_optimized.py did not start:\n{log.read_text()}")


def take(page: Any, path: Path) -> None:
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size // 1024} KiB")


def visit(page: Any, out: Path, screen: str) -> None:
    page.locator(".th-example").first.click()
    page.locator("#th-photo img").first.wait_for(timeout=RESULT_MS)
    page.locator("#th-generate").click()
    page.locator("#th-status .th-result").wait_for(timeout=RESULT_MS)
    page.locator("#th-status .th-quiet").wait_for(state="detached", timeout=RESULT_MS)  # the captions follow
    tabs = page.get_by_role("tab")
    if tabs.count() != len(TABS):
        raise SystemExit(f"The page has {tabs.count()} tabs: {tabs.all_inner_texts()}. TABS names {len(TABS)}.")
    for n, name in enumerate(TABS):
        tabs.nth(n).click()
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(SETTLE_MS)
        take(page, out / f"{name}_{screen}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="folder of the pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, app(Path(folder)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for screen, options in SCREENS.items():
            page = browser.new_context(**options).new_page()
            page.goto(url)
            page.locator("#th-generate").wait_for(timeout=RESULT_MS)
            visit(page, out, screen)
        browser.close()


if __name__ == "__main__":
    main()
