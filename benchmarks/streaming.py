#!/usr/bin/env python3
"""Measures latency, pace and memory of streams of the lite engine.

usage: streaming.py [--runs N] [--seconds S] [--sessions N] [--minutes M]

Prints: the first piece of a whole recording's stream after the request, avatar known (median, p95); of one live session fed as it is spoken
in chunks of 20 ms, from the moment the last of a frame's sound was fed to the segment that shows it (the engine itself looks ahead
113 ms); of several live sessions at once, the frames made against 25 a second, how late the latest one was, and the processor time each
takes; of a long live session fed faster than real time (a clock of its own; M minutes, 0 leaves it out), how memory moved after the first
tenth, and how far sound and picture are apart at the end. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import av
import numpy as np
import soxr

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.media.audio import load_audio  # noqa: E402
from core.media.image import load_image  # noqa: E402
from core.request import Avatar, Request  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.streaming import LiveEvent, LiveOptions, LiveSegment, LiveSession  # noqa: E402
from core.studio import Studio, open_studio  # noqa: E402
from core.types import SAMPLE_RATE_HZ, Samples  # noqa: E402

OWNER = "benchmark"
CHUNK_S = 0.02
PAUSE_S = 1.0
PATIENT = LiveOptions(gap_s=2.0)
"""A busy machine delays the feeding threads too: that must not end an utterance, or it could not be told which is which."""


def summary(values: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 1), "p95": round(float(np.percentile(values, 95)), 1)}


def resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell how much memory is in use")


def first_piece_ms(studio: Studio, avatar: Avatar, runs: int) -> list[float]:
    audio = load_audio(ROOT / "assets/speech_16s.wav", studio.settings)
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        with studio.stream(Request(audio, avatar, owner=OWNER)) as stream:
            next(stream)
            next(stream)
            times.append((time.perf_counter() - started) * 1000)
        stream.job.wait()
    return times[1:]


class Speaker(threading.Thread):
    """Feeds speech as it is spoken: utterances with pauses. spoken_at: when, by time.monotonic, each utterance began."""

    def __init__(self, live: LiveSession, speech: Samples, seconds: float) -> None:
        super().__init__(daemon=True)
        self._live, self._speech, self._seconds = live, speech, seconds
        self.spoken_at: list[float] = []

    def run(self) -> None:
        n = round(CHUNK_S * SAMPLE_RATE_HZ)
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            self.spoken_at.append(begun)
            for i in range(min(len(self._speech) // n, round((end - begun) / CHUNK_S))):
                time.sleep(max(0.0, begun + (i + 1) * CHUNK_S - time.monotonic()))  # a chunk is there when it has been spoken
                self._live.feed(self._speech[i * n : (i + 1) * n], SAMPLE_RATE_HZ)
            self._live.end_of_utterance()
            time.sleep(PAUSE_S)


def watch(live: LiveSession, speech: Samples, seconds: float) -> tuple[list[float], int, float]:
    """(ms from fed to shown of each frame of speech, frames made, s that the latest segment was late)."""
    speaker = Speaker(live, speech, seconds)
    delays: list[float] = []
    latest = 0.0
    begun_s: list[float] = []
    started = time.monotonic()
    speaker.start()
    while time.monotonic() - started < seconds:
        output = live.next_output(0.5)
        now = time.monotonic()
        if isinstance(output, LiveEvent) and output.kind == "speaking":
            begun_s.append(output.at_s)
        if not isinstance(output, LiveSegment) or output.segment.kind == "init":
            continue
        segment = output.segment
        last_due = started - live.options.lead_s + segment.start_s + segment.duration_s - 0.04
        latest = max(latest, now - last_due)
        for k in range(segment.n_frames) if output.speaking and begun_s else ():
            at_s = segment.start_s + k / 25 - begun_s[-1]
            if at_s >= -1e-6:
                delays.append((now - speaker.spoken_at[len(begun_s) - 1] - at_s - 0.04) * 1000)
    return delays, live.stats()["frames"], latest


def one_live(studio: Studio, avatar: Avatar, speech: Samples, seconds: float) -> list[float]:
    live = studio.live(avatar, OWNER, engine="lite", live=PATIENT)
    delays, _, _ = watch(live, speech, seconds)
    live.close()
    return delays


def many_live(studio: Studio, avatar: Avatar, speech: Samples, seconds: float, sessions: int) -> dict[str, float]:
    lives = [studio.live(avatar, OWNER, engine="lite", live=PATIENT) for _ in range(sessions)]
    results: list[tuple[list[float], int, float]] = []
    threads = [threading.Thread(target=lambda live=live: results.append(watch(live, speech, seconds))) for live in lives]
    cpu, started = time.process_time(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu, elapsed = time.process_time() - cpu, time.monotonic() - started
    filled = sum(live.stats()["filled"] for live in lives)
    for live in lives:
        live.close()
    frames = [frames for _, frames, _ in results]
    return {
        "fps_slowest": round(min(frames) / elapsed, 2),
        "latest_ms": round(max(late for _, _, late in results) * 1000, 1),
        "fed_to_shown_ms_p95": round(float(np.percentile(sum((delays for delays, _, _ in results), []), 95)), 1),
        "filled_frames": filled,
        "cpu_per_session": round(cpu / elapsed / sessions, 3),
        "cpu_ms_per_frame": round(cpu / sum(frames) * 1000, 2),
    }


def read_end(path: Path, seconds: float) -> tuple[int, Samples, float]:
    """Frames of the video; the last seconds of its sound, and when they end."""
    n_frames, end_s = 0, 0.0
    pieces: deque[Samples] = deque(maxlen=round(seconds * LiveOptions.sound_rate_hz / 1024))
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.stream.type == "video":
                n_frames += packet.size > 0
                continue
            for frame in packet.decode():
                end_s = frame.time + frame.samples / frame.sample_rate
                pieces.append(frame.to_ndarray()[0])
    return n_frames, np.concatenate(pieces), end_s


def shift_ms(heard: Samples, end_s: float, speech: Samples, begun_s: float) -> float:
    """How much later the sound is than its place in the video: searched half a second around it.

    heard ends at end_s; `speech` was spoken again and again from begun_s on.
    """
    rate_hz = LiveOptions.sound_rate_hz
    spoken = soxr.resample(speech, SAMPLE_RATE_HZ, rate_hz)
    window = heard[-6 * rate_hz : -2 * rate_hz]
    place = round((end_s - 6 - begun_s) * rate_hz)
    around = np.take(spoken, np.arange(place - rate_hz // 2, place + len(window) + rate_hz // 2), mode="wrap")
    return (rate_hz // 2 - int(np.argmax(np.correlate(around, window, "valid")))) / rate_hz * 1000


def long_live(studio: Studio, avatar: Avatar, speech: Samples, minutes: float, folder: Path) -> dict[str, float]:
    now_s = 0.0
    live = studio.live(avatar, OWNER, engine="lite", live=LiveOptions(segment_frames=25), clock=lambda: now_s)
    memory: list[float] = []
    fed, half = 0, SAMPLE_RATE_HZ // 2
    begun_s = 0.0
    started = time.monotonic()
    with (folder / "long.mp4").open("wb") as file:
        for step in range(round(minutes * 60 / 0.5)):
            now_s += 0.5
            while live.feed(np.take(speech, np.arange(fed, fed + half), mode="wrap"), SAMPLE_RATE_HZ):  # as much as it takes
                fed += half
            while (output := live.next_output()) is not None:
                if isinstance(output, LiveSegment):
                    file.write(output.segment.data)
                elif output.kind == "speaking":
                    begun_s = output.at_s
            if step % 20 == 0:
                memory.append(resident_mb())
        stats = live.stats()
        if (last := live.finish()) is not None:
            file.write(last.segment.data)
    n_frames, heard, end_s = read_end(folder / "long.mp4", 10.0)
    settled = memory[len(memory) // 10 :]
    return {
        "minutes": round(stats["frames"] / 25 / 60, 2),
        "faster_than_real_time": round(now_s / (time.monotonic() - started), 2),
        "memory_mb_after_a_tenth": round(settled[0], 1),
        "memory_mb_least": round(min(settled), 1),
        "memory_mb_most": round(max(settled), 1),
        "filled_frames": stats["filled"],
        "sound_after_its_place_at_end_ms": round(shift_ms(heard, end_s, speech, begun_s), 2),
        "sound_longer_than_picture_ms": round((end_s - n_frames / 25) * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()

    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(cache_dir=Path(folder) / "cache")
        studio = open_studio(settings)
        speech = load_audio(ROOT / "assets/speech_7s.wav", settings).samples
        photo = load_image(ROOT / "assets/portrait.png", settings)
        avatar = studio.preload_avatar(photo, OWNER)
        results["first_piece_ms"] = summary(first_piece_ms(studio, avatar, arguments.runs))
        results["live_fed_to_shown_ms"] = summary(one_live(studio, avatar, speech, arguments.seconds))
        results[f"live_{arguments.sessions}_at_once"] = many_live(studio, avatar, speech, arguments.seconds, arguments.sessions)
        if arguments.minutes > 0:
            results["live_long"] = long_live(studio, avatar, speech, arguments.minutes, Path(folder))
        studio.close()
    for name, value in results.items():
        print(f"{name:24s} {value}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
