"""Measures the cost of encoding a frame: `python benchmarks/encode.py [--frames 250] [--size 320]`.

Compares the project's writer with a pipe to the ffmpeg on the PATH (same codecs, preset and quality), alone and beside a
thread that renders (cv2.remap on frames of the same size), and the presets that were candidates. CPU is of all threads and child
processes but the renderer's. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.media import encoders
from core.media.audio import load_audio
from core.media.image import load_image
from core.media.video import encode
from core.settings import Settings
from core.types import FPS, Audio, Frame

ASSETS = Path(__file__).resolve().parent.parent / "assets"
Result = dict[str, float]


def moving(size: int, count: int) -> list[Frame]:
    """The shipped portrait, swaying, with something like a mouth that opens and closes two and a half times a second."""
    photo = load_image(ASSETS / "portrait.png", Settings()).pixels
    side = min(photo.shape[:2])
    base = cv2.resize(photo[:side, :side], (size, size), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    sway = np.exp(-((x - size / 2) ** 2 + (y - size / 2) ** 2) / (0.35 * size) ** 2)
    mouth = np.exp(-((x - size / 2) ** 2 + (y - 0.62 * size) ** 2) / (0.1 * size) ** 2)
    frames = []
    for t in np.arange(count) / 25:
        dx = (2.5 * np.sin(1.9 * t) + 0.8 * np.sin(5.7 * t)) * sway
        dy = 2.0 * np.sin(1.4 * t + 1) * sway + 8 * abs(np.sin(15.7 * t)) * mouth
        frames.append(cv2.remap(base, (x + dx).astype(np.float32), (y - dy).astype(np.float32), cv2.INTER_LINEAR))
    return frames


class Renderer(threading.Thread):
    """Renders until told to stop; knows its own CPU time."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(daemon=True)
        self._frame, self._over, self.cpu_s, self.rendered = frame, threading.Event(), 0.0, 0
        self._y, self._x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]].astype(np.float32)

    def run(self) -> None:
        began = time.thread_time()
        while not self._over.is_set():
            x = 0.98 * self._x + 0.02 * self._y
            cv2.remap(self._frame, x, self._y, cv2.INTER_LINEAR)
            cv2.remap(self._frame, self._y, x, cv2.INTER_LINEAR)
            self.rendered += 1
        self.cpu_s = time.thread_time() - began

    def stop(self) -> None:
        self._over.set()
        self.join()


def cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(write: Callable[[Path], None], frames: list[Frame], path: Path) -> Result:
    result: Result = {}
    for label in ("alone", "beside"):
        renderer = Renderer(frames[0])
        if label == "beside":
            renderer.start()
        wall, cpu = time.perf_counter(), cpu_s()
        write(path)
        wall = time.perf_counter() - wall
        if label == "beside":
            renderer.stop()
            result["render_step_ms"] = 1000 * wall / max(renderer.rendered, 1)
        result[f"{label}_wall_ms"] = 1000 * wall / len(frames)
        result[f"{label}_cpu_ms"] = 1000 * (cpu_s() - cpu - renderer.cpu_s) / len(frames)
    result["kB_per_s"] = os.path.getsize(path) / (len(frames) / 25) / 1000
    result["psnr_db"] = psnr_db(path, frames)
    return {name: round(value, 2) for name, value in result.items()}


def psnr_db(path: Path, frames: list[Frame]) -> float:
    """Of the luma."""
    errors = []
    with av.open(str(path)) as file:
        for decoded, frame in zip(file.decode(video=0), frames, strict=True):
            luma = frame @ np.array([0.2126, 0.7152, 0.0722]) * (219 / 255) + 16
            errors.append(np.square(decoded.to_ndarray()[: len(luma)] - luma).mean())
    return float(10 * np.log10(255**2 / np.mean(errors)))


def writer(frames: list[Frame], audio: Audio, options: dict[str, str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        kept = dict(encoders.X264)
        encoders.X264.update(options)
        try:
            encode(frames, path, audio, frames[0].shape[1], frames[0].shape[0])
        finally:
            encoders.X264.clear()
            encoders.X264.update(kept)

    return write


def pipe(frames: list[Frame], audio: Audio, threads: int) -> Callable[[Path], None]:
    height, width, _ = frames[0].shape

    def write(path: Path) -> None:
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        sound = path.with_name("sound.wav")
        sound.write_bytes(audio.original)
        command += ["-r", "25", "-i", "-", "-i", str(sound), "-c:a", "aac", "-b:a", "64k", "-vf", "scale=out_color_matrix=bt709:flags=area"]
        command += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", str(2 * FPS), "-threads", str(threads)]
        command += [part for name, value in encoders.X264.items() for part in (f"-{name}", value)]
        with subprocess.Popen([*command, "-movflags", "+faststart", str(path)], stdin=subprocess.PIPE) as process:
            if process.stdin is not None:  # for the type checker
                with process.stdin as stdin:
                    for frame in frames:
                        stdin.write(frame.data)

    return write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--size", type=int, default=320)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    frames = moving(arguments.size, arguments.frames)
    seconds = arguments.frames / 25
    mono = np.resize(load_audio(ASSETS / "speech_16s.wav", Settings()).samples, round(16000 * seconds))
    speech = load_audio((16000, mono), Settings())
    stereo = load_audio((48000, np.stack([np.repeat(mono, 3)] * 2, axis=1)), Settings())
    candidates: dict[str, Callable[[Path], None]] = {
        "writer": writer(frames, speech, {}),
        "writer, 48 kHz stereo sound": writer(frames, stereo, {}),
        "writer, veryfast as published": writer(frames, speech, {"preset": "veryfast", "x264-params": "cpu-independent=1"}),
        "writer, as a stream": writer(frames, speech, encoders.X264_STREAM),
        "pipe, 1 thread": pipe(frames, speech, 1),
        "pipe, 2 threads": pipe(frames, speech, 2),
    }
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        candidates["writer"](path)  # warm-up: first use of the codecs
        for name, write in candidates.items():
            results[name] = measure(write, frames, path)
            print(f"{name:32s}" + "  ".join(f"{key} {value:7.2f}" for key, value in results[name].items()), flush=True)
    print(json.dumps({"benchmark": "encode", "size": arguments.size, "frames": arguments.frames, "results": results}))


if __name__ == "__main__":
    main()
