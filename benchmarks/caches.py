#!/usr/bin/env python3
"""Measures what the caches save with the lite engine.

usage: caches.py [--runs N] [--photo FILE] [--audio FILE]

Prints median and 95th percentile of: registering an avatar that is new (decoding and keeping included); a token to its registration right
after a restart (engine loaded); 16 s of speech to a finished mp4 with an avatar (RTF, first frame); the same request again, in process. A
restart is a new studio on the same folder: its memory is empty. The first request warms up and is not counted. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.media.audio import load_audio  # noqa: E402
from core.media.image import load_image  # noqa: E402
from core.request import RenderOptions, Request  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.studio import Studio  # noqa: E402

OWNER = "bench"


def summary(values: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 4), "p95": round(float(np.percentile(values, 95)), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--photo", type=Path, default=ROOT / "assets/portrait.png")
    parser.add_argument("--audio", type=Path, default=ROOT / "assets/speech_16s.wav")
    arguments = parser.parse_args()

    from core.engines.lite import LiteEngine

    engine = LiteEngine()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(cache_dir=Path(folder) / "caches", output_dir=Path(folder) / "outputs")
        output = Path(folder) / "out.mp4"

        def opened() -> Studio:
            studio = Studio(settings, {"lite": lambda: engine}, serving=True)
            studio.engine("lite")
            return studio

        studio = opened()
        audio = load_audio(arguments.audio, settings)
        warm = studio.preload_avatar(load_image(arguments.photo, settings), OWNER)
        studio.generate(Request(audio, warm, owner=OWNER), output)

        preload, lookup, rtf, first, hit = [], [], [], [], []
        for run in range(arguments.runs):
            studio.clear_cache("avatars", OWNER)
            started = time.perf_counter()
            avatar = studio.preload_avatar(load_image(arguments.photo, settings), OWNER)
            preload.append((time.perf_counter() - started) * 1000)
            studio.close()
            studio = opened()
            started = time.perf_counter()
            studio.live(studio.avatar(avatar.token, OWNER), OWNER).close()
            lookup.append((time.perf_counter() - started) * 1000)
            if studio.stats()["avatars"]["misses"]:
                raise SystemExit("the avatar was registered anew")
            request = Request(audio, avatar, owner=OWNER, options=RenderOptions(seed=run))
            started = time.perf_counter()
            generation = studio.generate(request, output)
            rtf.append((time.perf_counter() - started) / audio.duration_s)
            first.append(generation.info.first_frame_ms)
            for _ in range(3):
                started = time.perf_counter()
                again = studio.generate(request, output)
                hit.append((time.perf_counter() - started) * 1000)
                if not again.info.cache_hit or generation.info.cache_hit:
                    raise SystemExit("a request was answered from the wrong place")
        studio.close()
    results["avatar_new_ms"] = summary(preload)
    results["token_after_restart_ms"] = summary(lookup)
    results["avatar_to_video_rtf"] = summary(rtf)
    results["avatar_first_frame_ms"] = summary(first)
    results["result_hit_ms"] = summary(hit)
    for name, value in results.items():
        print(f"{name:32s} {value}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
