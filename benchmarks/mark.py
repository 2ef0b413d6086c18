"""Measures the imperceptible mark: how little it changes, what it survives, how often it is found where it is not, and what it costs.

usage: python benchmarks/mark.py [--photos FOLDER] [--frames 75] [--styles photo,dark,...] [--key] [--out benchmarks/results/mark.json]

Videos: the project's portrait and the photos of FOLDER, each as photo, painting, drawing, dark, bright, on a flat ground and still
(mark_sources.py), each attacked in every way of mark_attacks.py (the ones that may defeat it: on the photos). Unmarked ones are read after eight of the attacks. PSNR is of luma, of the
mark alone, before any encoding. Prints a table; ends with one line of JSON, which --out keeps.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.mark_attacks import ATTACKS, DEFEATS, Attack, Frames, encoded, read
from benchmarks.mark_sources import STYLES, clips
from core.media.mark import Mark
from core.media.mark_pattern import make_tile

KEY, PAYLOAD = b"a deployment's own key", 0x5EED1234
UNMARKED = ("as written", "H.264 CRF 28", "H.264 CRF 32", "480p at 400 kb/s", "resized to 50 %", "10 % cut off each side", "mirrored",
            "filmed off a screen")  # fmt: skip


def psnr(before: Frames, after: Frames) -> float:
    weights = np.array([0.2126, 0.7152, 0.0722])
    errors = [np.mean(((one.astype(np.float64) - other) @ weights) ** 2) for one, other in zip(before, after, strict=True)]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def marked(frames: Frames, key: bytes | None) -> tuple[Frames, float]:
    """The frames with the mark, and the milliseconds of CPU that one took."""
    result = [frame.copy() for frame in frames]
    mark = Mark(frames[0].shape[1], frames[0].shape[0], make_tile(key, PAYLOAD))
    began = time.thread_time()
    for frame in result:
        mark.draw(frame)
    return result, (time.thread_time() - began) * 1000 / len(result)


def measure(photos: Path | None, n_frames: int, styles: tuple[str, ...], key: bytes | None) -> dict[str, Any]:
    found: dict[str, list[bool]] = {}
    named: dict[str, list[bool]] = {}
    weakest: dict[str, float] = {}
    false_scores: list[float] = []
    false_finds, ratios, costs = 0, {}, []
    for clip in clips(n_frames, photos, styles):
        after, cost_ms = marked(clip.frames, key)
        ratios[clip.name] = round(psnr(clip.frames, after), 2)
        costs.append(cost_ms)
        for name, attack in {**ATTACKS, **(DEFEATS if clip.name.endswith("-photo") else {})}.items():
            reading = read(encoded(after, attack), key)
            found.setdefault(name, []).append(reading.found)
            named.setdefault(name, []).append(reading.payload == PAYLOAD)
            weakest[name] = round(min(weakest.get(name, 99.0), reading.score), 1)
            if not reading.found and name in ATTACKS:
                sys.stderr.write(f"{clip.name}, {name}: not found (score {reading.score:.1f})\n")
        for name in UNMARKED if key is None else ():
            reading = read(encoded(clip.frames, ATTACKS[name]))
            false_scores.append(reading.score)
            false_finds += reading.found
        sys.stderr.write(f"{clip.name}: PSNR {ratios[clip.name]} dB\n")
    return {
        "videos": len(ratios),
        "frames": n_frames,
        "psnr_db": ratios,
        "psnr_least_db": min(ratios.values()),
        "ms_a_frame": round(float(np.median(costs)), 3),
        "found": {name: round(sum(hits) / len(hits), 4) for name, hits in found.items()},
        **({} if key is None else {"id_read": {name: round(sum(hits) / len(hits), 4) for name, hits in named.items()}}),
        "weakest_score": weakest,
        "unmarked": len(false_scores),
        "false_finds": false_finds,
        "unmarked_highest_score": round(max(false_scores, default=0.0), 2),
    }


def times() -> dict[str, float]:
    """Seconds to read 10 s of video at two sizes."""
    import cv2

    still = np.zeros((320, 320, 3), np.uint8)
    cv2.circle(still, (160, 160), 90, (200, 160, 140), -1)
    frames = [np.roll(still, n % 9, axis=1) for n in range(250)]
    taken = {}
    for name, side in (("320x320", 320), ("1080x1080", 1080)):
        data = encoded([cv2.resize(frame, (side, side)) for frame in frames], Attack(options={"crf": "23", "preset": "ultrafast"}))
        began = time.perf_counter()
        read(data)
        taken[name] = round(time.perf_counter() - began, 2)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the imperceptible mark.")
    parser.add_argument("--photos", type=Path, help="folder of more photos of faces")
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--styles", default=",".join(STYLES))
    parser.add_argument("--key", action="store_true", help="with a deployment's own pattern, whose id is read")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.photos, arguments.frames, tuple(arguments.styles.split(",")), KEY if arguments.key else None)
    figures["read_10_s_in_s"] = times()
    for name, share in figures["found"].items():
        read_id = f"  id {100 * figures['id_read'][name]:5.1f} %" if arguments.key else ""
        sys.stdout.write(f"{name:<32} {100 * share:5.1f} %{read_id}  weakest {figures['weakest_score'][name]:5.1f}\n")
    line = json.dumps(figures)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(line + "\n")
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
