"""Measures the imperceptible mark: how little it changes, what it survives, and what it costs. Where it is not: mark_unmarked.py.

usage: python benchmarks/mark.py [--photos FOLDER] [--frames 60] [--styles photo,dark,...] [--key] [--processes 2]
       [--out benchmarks/results/mark.json]

Videos: the project's portrait and the photos of FOLDER, each as photo, painting, drawing, dark, bright, on a flat ground and still
(mark_sources.py), each written as the product writes files, read again, and attacked in every way of mark_attacks.py (by what may defeat
it: the photos). PSNR is of luma, of the mark alone, before any encoding. Prints a table; ends with one line of JSON, which --out keeps.
With --out every video that was measured is kept at once, a line each in a file beside it: the same command goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.mark_attacks import ATTACKS, DEFEATS, WRITTEN, Attack, Frames, decoded, encoded, read
from benchmarks.mark_sources import STYLES, Clip, clips
from core.media.mark import Mark
from core.media.mark_pattern import make_tile

KEY, PAYLOAD = b"a deployment's own key", 0x5EED1234


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


@dataclass
class Measured:
    """Of one clip. found, named, scores: by attack, as in `MarkReading`."""

    name: str
    psnr_db: float
    ms_a_frame: float
    found: dict[str, bool]
    named: dict[str, bool]
    scores: dict[str, float]


def measured(clip: Clip, key: bytes | None) -> Measured:
    after, cost_ms = marked(clip.frames, key)
    attacks = {**ATTACKS, **(DEFEATS if clip.name.endswith("-photo") else {})}
    written = encoded(after, ATTACKS[WRITTEN])
    passed_on = decoded(written)
    readings = {name: read(written if name == WRITTEN else encoded(passed_on, attack), key) for name, attack in attacks.items()}
    return Measured(
        clip.name,
        round(psnr(clip.frames, after), 2),
        cost_ms,
        {name: reading.found for name, reading in readings.items()},
        {name: reading.payload == PAYLOAD for name, reading in readings.items()},
        {name: reading.score for name, reading in readings.items()},
    )


def finished(lines: Path | None, conditions: dict[str, Any]) -> list[Measured]:
    """The clips that an earlier run under the same conditions measured; the file is begun where there is none."""
    if lines is None:
        return []
    if not lines.exists():
        lines.parent.mkdir(parents=True, exist_ok=True)
        lines.write_text(json.dumps(conditions) + "\n")
    begun, *rest = lines.read_text().splitlines()
    if json.loads(begun) != conditions:
        raise SystemExit(f"{lines} was measured under {begun}. Remove it, or choose another --out.")
    return [Measured(**json.loads(line)) for line in rest]


def measure(todo: Iterable[Clip], key: bytes | None, processes: int, lines: Path | None) -> Iterator[Measured]:
    """Each clip as soon as it is measured, after it was added to the file of lines."""
    work = partial(measured, key=key)
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(processes, get_context("spawn"))) if processes > 1 else None
        for result in map(work, todo) if pool is None else pool.map(work, todo):
            missed = [f"{name} ({result.scores[name]:.1f})" for name, hit in result.found.items() if not hit and name in ATTACKS]
            sys.stderr.write(f"{result.name}: PSNR {result.psnr_db} dB; not found after: {', '.join(missed) or 'none'}\n")
            if lines is not None:
                with lines.open("a") as file:
                    file.write(json.dumps(asdict(result)) + "\n")
            yield result


def summed_up(results: list[Measured], key: bytes | None) -> dict[str, Any]:
    def share(of: Callable[[Measured], dict[str, bool]]) -> dict[str, float]:
        hits = {name: [of(each)[name] for each in results if name in each.found] for name in {**ATTACKS, **DEFEATS}}
        return {name: round(sum(each) / len(each), 4) for name, each in hits.items() if each}

    found = share(lambda each: each.found)
    return {
        "videos": len(results),
        "psnr_db": {each.name: each.psnr_db for each in results},
        "psnr_least_db": min(each.psnr_db for each in results),
        "ms_a_frame": round(float(np.median([each.ms_a_frame for each in results])), 3),
        "found": found,
        **({} if key is None else {"id_read": share(lambda each: each.named)}),
        "weakest_score": {name: round(min(each.scores[name] for each in results if name in each.scores), 1) for name in found},
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
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--styles", default=",".join(STYLES))
    parser.add_argument("--key", action="store_true", help="with a deployment's own pattern, whose id is read")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    key = KEY if arguments.key else None
    lines = None if arguments.out is None else arguments.out.with_suffix(".jsonl")
    conditions = {"frames": arguments.frames, "with_id": arguments.key}
    results = finished(lines, conditions)
    todo = clips(arguments.frames, arguments.photos, tuple(arguments.styles.split(",")), {each.name for each in results})
    results += measure(todo, key, arguments.processes, lines)
    figures = {**conditions, **summed_up(results, key), "read_10_s_in_s": times()}
    for name, share in figures["found"].items():
        read_id = f"  id {100 * figures['id_read'][name]:5.1f} %" if arguments.key else ""
        sys.stdout.write(f"{name:<32} {100 * share:5.1f} %{read_id}  weakest {figures['weakest_score'][name]:5.1f}\n")
    tell(figures, arguments.out)


def tell(figures: dict[str, Any], out: Path | None) -> None:
    """One line of JSON, and the same into a file."""
    line = json.dumps(figures)
    if out is not None:
        out.write_text(line + "\n")
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
