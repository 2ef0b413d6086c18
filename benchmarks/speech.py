#!/usr/bin/env python3
"""Measures when the first pictures of a stream of a 60-word text come, over HTTP from a server of its own; prints one line of JSON last.

    python benchmarks/speech.py [--runs 5] [--voice af_heart] [--size 320] [--server URL --key KEY]

The clock starts when the request is sent, with the avatar registered and voice and engine loaded by a first stream, which is not counted.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx

ROOT = Path(__file__).resolve().parent.parent
KEY = "a key of the benchmark alone"
TEXT = (
    "Good morning, and welcome to our little tour of the harbour. The first ships came here four hundred years ago, when there was nothing "
    "but sand and a wooden pier. Today more than two thousand people work on these docks. In a moment we shall see the old "
    "lighthouse, which was built of red stone. Please hold on, number {n}."
)


@contextmanager
def own_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "TALKING_HEAD_API_KEYS": KEY, "TALKING_HEAD_OUTPUT_DIR": folder, "TALKING_HEAD_CACHE_DIR": folder,
            "TALKING_HEAD_JOBS_PER_MINUTE": "1000",
        }  # fmt: skip
        command = [sys.executable, str(ROOT / "api_server.py"), "--port", "0", "--no-page", "--ditto", "off"]
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://[\d.]+:\d+", line)
            if found is None:
                sys.exit(f"The server did not start: {line}")
            yield found[0]
        finally:
            process.terminate()
            process.wait()


def timed(client: httpx.Client, token: str, voice: str, size: int, n: int) -> dict[str, float]:
    """Seconds to the first media piece, and to the end; and how long the video is. Each text is another, so nothing comes from a cache."""
    form = {"text": TEXT.format(n=n), "voice": voice, "avatar": token, "options": json.dumps({"size": size, "seed": n})}
    parts = {name: (None, value) for name, value in form.items()}
    data, first_s, began = b"", 0.0, time.perf_counter()
    with client.stream("POST", "/stream", files=parts) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            data += chunk
            if not first_s and b"mdat" in data:
                first_s = time.perf_counter() - began
    return {"first_s": first_s, "end_s": time.perf_counter() - began, "video_s": length_s(data)}


def length_s(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as file:
        return sum(1 for _ in file.decode(video=0)) / 25


def measure(url: str, key: str, given: argparse.Namespace) -> dict[str, object]:
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=300, trust_env=False) as client:
        with (ROOT / "assets" / "portrait.png").open("rb") as photo:
            answer = client.post("/avatars", files={"image": photo})
        answer.raise_for_status()
        token = answer.json()["token"]
        timed(client, token, given.voice, given.size, 0)
        runs = [timed(client, token, given.voice, given.size, n) for n in range(1, given.runs + 1)]
        client.delete(f"/avatars/{token}")
    for run in runs:
        sys.stdout.write(f"first pictures {run['first_s']:.2f} s, all after {run['end_s']:.1f} s of {run['video_s']:.1f} s\n")
    firsts = [run["first_s"] for run in runs]
    return {
        "benchmark": "speech", "voice": given.voice, "size": given.size, "words": len(TEXT.split()), "cpus": os.cpu_count(),
        "first_median_s": round(statistics.median(firsts), 3), "first_max_s": round(max(firsts), 3),
        "real_time_factor": round(statistics.median(run["end_s"] / run["video_s"] for run in runs), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures when the first pictures of a spoken text come.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--voice", default="af_heart")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--server", help="one that runs already (default: one of its own)")
    parser.add_argument("--key", default="", help="its key")
    given = parser.parse_args()
    if given.server:
        figures = measure(given.server, given.key, given)
    else:
        with own_server() as url:
            figures = measure(url, KEY, given)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
