#!/usr/bin/env python3
"""Measures how soon the page is usable, and how soon a cached video reaches a Gradio client.

usage: page.py [--runs N] [--app app_optimized.py]

Prints median and 95th percentile of: seconds from process start until Generate can be clicked in Chromium (already running, empty cache);
seconds from asking for that page until its first content is painted, its requests, and how many go over the line when it is opened again;
milliseconds of a Gradio client's call that the cache of finished videos answers, from the call until the video lies in the client's folder,
with a photo and with an avatar (the recording is uploaded each time). Ends with one JSON line.
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

    def __init__(self, name: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        environment = {
            "TALKING_HEAD_OUTPUT_DIR": str(folder / "out"),
            "TALKING_HEAD_CACHE_DIR": str(folder / "cache"),
            "TALKING_HEAD_CAPTION_RECORDINGS": "false",
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
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    usable: list[float] = []
    painted: list[float] = []
    requests: list[float] = []
    again: list[float] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
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
        browser.close()
    return usable, painted, requests, again


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
    arguments = parser.parse_args()
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
    for key, value in results.items():
        print(f"{key:<22} {value}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
