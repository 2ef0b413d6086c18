#!/usr/bin/env python3
"""Measures how soon the page is usable, and how soon a cached video reaches a Gradio client.

usage: page.py [--runs N] [--app app_optimized.py] [--preview] [--size PX] [--captions]

Prints median and 95th percentile of: seconds from process start until Generate can be clicked in Chromium (already running, empty cache);
seconds from asking for that page until its first content is painted, its requests, and how many go over the line when it is opened again;
milliseconds of a Gradio client's call that the cache of finished videos answers, from the call until the video lies in the client's folder,
with a photo and with an avatar (the recording is uploaded each time).

--preview: instead, milliseconds from the click on Generate (16 s of speech, the shipped portrait, chosen 3 s before) on a laptop and on a
phone: until the page says that it is at work, until it is told of the preview of the first 2 s, until the first picture of that is seen,
and until the whole video is there; medians and 95th percentiles. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "assets"
GIVE_UP_S = 60.0


def summary(values: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 3), "p95": round(float(np.percentile(values, 95)), 3)}


class App:
    """The page's process, on a port of its own, with caches of its own."""

    def __init__(self, name: str, folder: Path, **more: str) -> None:
        """more: environment variables."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        environment = {
            "TALKING_HEAD_OUTPUT_DIR": str(folder / "out"),
            "TALKING_HEAD_CACHE_DIR": str(folder / "cache"),
            "TALKING_HEAD_CAPTION_RECORDINGS": "false",
            **more,
        }
        command = [sys.executable, str(ROOT / name), "--port", str(self.port)]
        self.started = time.perf_counter()
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **environment})

    def wait(self) -> None:
        """Until the port is open."""
        while time.perf_counter() - self.started < GIVE_UP_S:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise SystemExit("the page did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


FETCHED = "performance.getEntriesByType('resource').filter((each) => each.transferSize > 0).length"


def page_loads(name: str, runs: int, folder: Path) -> tuple[list[float], list[float], list[float], list[float]]:
    """Seconds until Generate, seconds until the first content, requests, and those of a second visit that the browser's cache does not
    answer; one of each a run.
    """
    usable: list[float] = []
    painted: list[float] = []
    requests: list[float] = []
    again: list[float] = []
    with chromium() as browser:
        for run in range(runs):
            app = App(name, folder / f"start{run}")
            try:
                app.wait()
                page = browser.new_context().new_page()
                addresses: list[str] = []
                page.on("request", lambda request, addresses=addresses: addresses.append(request.url))
                page.goto(app.url, wait_until="commit")
                page.locator("#th-generate").click(trial=True, timeout=GIVE_UP_S * 1000)
                usable.append(time.perf_counter() - app.started)
                painted.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
                requests.append(len(addresses))
                second = page.context.new_page()
                second.goto(app.url, wait_until="commit")
                second.locator("#th-generate").click(trial=True, timeout=GIVE_UP_S * 1000)
                again.append(second.evaluate(FETCHED))
                page.context.close()
            finally:
                app.stop()
    return usable, painted, requests, again


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


SCREENS: dict[str, dict[str, Any]] = {
    "laptop": {"viewport": {"width": 1280, "height": 720}},
    "phone": {
        "viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True,
        "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36",
    },
}  # fmt: skip
CHOOSING_MS = 3000
MARKS = """() => {
  const marks = window.previewMarks = {}, seen = (selector) => document.querySelector(selector);
  document.addEventListener('click', (event) => { if (event.target.closest('#th-generate')) marks.click = performance.now(); }, true);
  (function look() {
    const mark = (name, there) => { if (there && marks.click && !(name in marks)) marks[name] = performance.now() - marks.click; };
    mark('at_work', seen('#th-status [role=progressbar]'));
    mark('told', seen('#th-status [data-preview]'));
    mark('seen', seen('.th-preview video')?.readyState >= 2);
    mark('whole', seen('#th-status .th-result'));
    if (!('whole' in marks)) requestAnimationFrame(look);
  })();
}"""


def preview_ms(name: str, runs: int, folder: Path, size: str, captions: bool) -> dict[str, dict[str, float]]:
    """By screen and mark: median and 95th percentile. The first run of each, in which the engine may still be loaded, is left out."""
    app = App(name, folder / "preview", TALKING_HEAD_PAGE_SIZE=size, TALKING_HEAD_CAPTION_RECORDINGS=str(captions).lower())
    measured: dict[str, list[float]] = {}
    try:
        app.wait()
        with chromium() as browser:
            for run in range(runs + 1):
                for screen, options in SCREENS.items():
                    marks = preview_of(browser.new_context(**options), app.url)
                    for mark, ms in marks.items() if run else ():
                        measured.setdefault(f"{screen} {mark}", []).append(ms)
    finally:
        app.stop()
    return {mark: summary(values) for mark, values in measured.items()}


def preview_of(context: Any, url: str) -> dict[str, float]:
    """The marks of one visit, by a visitor of its own: nothing is known of their photo."""
    page = context.new_page()
    page.goto(url)
    page.locator("#th-photo input[type=file]").first.set_input_files(ASSETS / "portrait.png", timeout=GIVE_UP_S * 1000)
    page.locator("#th-speech input[type=file]").first.set_input_files(ASSETS / "speech_16s.wav")
    page.locator("#th-faces .th-card").first.wait_for(timeout=GIVE_UP_S * 1000)
    page.wait_for_timeout(CHOOSING_MS)
    page.evaluate(MARKS)
    page.locator("#th-generate").click()
    page.wait_for_function("'whole' in window.previewMarks", timeout=GIVE_UP_S * 1000)
    marks: dict[str, float] = page.evaluate("window.previewMarks")
    context.close()
    return {name: ms for name, ms in marks.items() if name != "click"}


def cache_hit_ms(name: str, runs: int, folder: Path) -> tuple[list[float], list[float]]:
    """With a photo, and with an avatar."""
    from gradio_client import Client, handle_file

    app = App(name, folder / "cache")
    try:
        app.wait()
        client = Client(app.url, download_files=str(folder / "client"), verbose=False, headers={"X-Owner-Key": "key of the benchmark"})
        files = {"audio": handle_file(str(ASSETS / "speech_3s.wav")), "image": handle_file(str(ASSETS / "portrait.png"))}
        client.predict(**files, api_name="/process_talking_head")
        token, _ = client.predict(image=files["image"], consent=True, api_name="/preload_avatar")
        with_token = {"audio": files["audio"], "token": token, "options": {}}
        client.predict(**with_token, api_name="/process_talking_head_optimized")
        uploads, known = [], []
        for _ in range(runs):
            uploads.append(timed(lambda: client.predict(**files, api_name="/process_talking_head")))
            known.append(timed(lambda: client.predict(**with_token, api_name="/process_talking_head_optimized")))
        return uploads, known
    finally:
        app.stop()


def timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--app", default="app_optimized.py")
    parser.add_argument("--preview", action="store_true", help="measure the preview alone")
    parser.add_argument("--size", default="512", help="of the videos of which the preview is measured")
    parser.add_argument("--captions", action="store_true", help="with captions of the recording, where a recogniser is installed")
    arguments = parser.parse_args()
    if arguments.preview:
        with tempfile.TemporaryDirectory() as folder:
            told = preview_ms(arguments.app, arguments.runs, Path(folder), arguments.size, arguments.captions)
        show(told)
        return
    with tempfile.TemporaryDirectory() as folder:
        starts, painted, requests, again = page_loads(arguments.app, arguments.runs, Path(folder))
        uploads, token = cache_hit_ms(arguments.app, 4 * arguments.runs, Path(folder))
    results = {
        "app": arguments.app,
        "interactive_s": summary(starts),
        "first_content_s": summary(painted),
        "requests": summary(requests),
        "requests_again": summary(again),
        "cache_hit_photo_ms": summary(uploads),
        "cache_hit_avatar_ms": summary(token),
    }
    show(results)


def show(results: Mapping[str, Any]) -> None:
    for key, value in results.items():
        print(f"{key:<22} {value}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
