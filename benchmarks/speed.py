#!/usr/bin/env python3
"""Measures the speed and memory of the lite engine.

usage: speed.py [--runs N] [--photo FILE] [--audio FILE] [--sizes PX ...]

Prints for each size median and 95th percentile of: 16 s of speech to a finished mp4 with the photo not registered before and with it known
(RTF, seconds of work for a second of video, and the same in processor time of all threads; engine loaded), first frame after the audio is
there with the photo known, registering one photo, drawing one frame; then of a fresh process that makes the 7 s demo; and the peak memory
of both processes. The first request of a size warms up and is not counted. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.lite.expression import Expression  # noqa: E402
from core.media.audio import load_audio  # noqa: E402
from core.media.image import load_image  # noqa: E402
from core.request import Framing, RenderOptions, Request  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.studio import Studio, open_studio  # noqa: E402
from core.types import Photo  # noqa: E402


def summary(values: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 4), "p95": round(float(np.percentile(values, 95)), 4)}


def at_size(studio: Studio, photo: Photo, recording: Path, size: int, runs: int, output: Path) -> dict[str, dict[str, float]]:
    settings, options = Settings(), RenderOptions(size=size)
    studio.generate(Request(load_audio(recording, settings), photo, options=options), output)  # loads and warms
    rtf, known_rtf, known_cpu_rtf, first, register = [], [], [], [], []
    for run in range(runs):
        started = time.perf_counter()
        audio = load_audio(recording, settings)
        unseen = dataclasses.replace(photo, sha256=f"{photo.sha256}-{size}-{run}")
        generation = studio.generate(Request(audio, unseen, options=options), output)
        rtf.append((time.perf_counter() - started) / audio.duration_s)
        register.append(generation.info.register_ms)
        started, started_cpu = time.perf_counter(), time.process_time()
        generation = studio.generate(Request(audio, unseen, options=options), output)
        known_rtf.append((time.perf_counter() - started) / audio.duration_s)
        known_cpu_rtf.append((time.process_time() - started_cpu) / audio.duration_s)
        first.append(generation.info.first_frame_ms)
    renderer = studio.engine("lite").register(photo, Framing()).renderer(options)
    draw = []
    for i in range(120):
        started = time.perf_counter()
        renderer.draw(Expression(aperture=(i % 10) / 10, blink=(i % 7) / 6))
        draw.append((time.perf_counter() - started) * 1000)
    figures = {"rtf_new_photo": rtf, "rtf_known_photo": known_rtf, "cpu_rtf_known_photo": known_cpu_rtf}
    figures |= {"first_frame_ms_known_photo": first, "register_ms": register, "draw_ms": draw[20:]}
    return {name: summary(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--photo", type=Path, default=ROOT / "assets/portrait.png")
    parser.add_argument("--audio", type=Path, default=ROOT / "assets/speech_16s.wav")
    parser.add_argument("--sizes", type=int, nargs="+", default=[320, 512, 1080])
    arguments = parser.parse_args()

    settings = Settings()
    studio = open_studio(settings)
    photo = load_image(arguments.photo, settings)
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.mp4"
        for size in arguments.sizes:
            for name, figure in at_size(studio, photo, arguments.audio, size, arguments.runs, output).items():
                results[f"{size}_{name}"] = figure
                print(f"{size:4d} {name:32s} {figure}", flush=True)
        results["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

        command = [sys.executable, str(ROOT / "inference.py"), "--audio_path", str(ROOT / "assets/speech_7s.wav")]
        command += ["--source_path", str(ROOT / "assets/portrait.png"), "--output_path", str(output), "--json"]
        fresh = []
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            fresh.append(time.perf_counter() - started)
        results["fresh_process_7s_demo_s"] = summary(fresh)
        results["fresh_process_peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    studio.close()
    for name in ("peak_memory_mb", "fresh_process_7s_demo_s", "fresh_process_peak_memory_mb"):
        print(f"     {name:32s} {results[name]}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
