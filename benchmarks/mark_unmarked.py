"""Measures how often the imperceptible mark is found where it is not: in scenes that are all different.

usage: python benchmarks/mark_unmarked.py --pictures FOLDER [--scenes 240] [--processes 2] [--out benchmarks/results/mark_unmarked.json]

Scenes are parts of the pictures in FOLDER (photos, paintings, drawings; whatever OpenCV reads) and of the project's portrait, and generated
ones (noise of several slopes, gradients, stripes, shapes, writing, flat grounds), each with another part, style, grade and motion
(mark_scenes.py) and after one of the attacks of mark_attacks.py. Prints one line of JSON, which --out keeps.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.mark import tell
from benchmarks.mark_attacks import ATTACKS, encoded, read
from benchmarks.mark_scenes import kind_of, scene
from core.provenance.mark_detection import MOST_CHANCE, TRIED

ATTACKED = ("as written", "H.264 CRF 28", "H.264 CRF 32", "VP9 CRF 33", "480p at 400 kb/s", "resized to 50 %", "10 % cut off each side",
            "mirrored", "filmed off a screen")  # fmt: skip


def reading(number: int, pictures: list[Path]) -> tuple[float, float]:
    """Score and chance, as in `MarkReading`, of one scene."""
    cv2.setNumThreads(1)
    found = read(encoded(scene(number, pictures), ATTACKS[ATTACKED[number % len(ATTACKED)]]))
    return found.score, found.chance


def summed_up(scores: list[float], chances: list[float]) -> dict[str, Any]:
    """How the statistic lies against the detector's own bound, which a share of the scenes at most may fall below; and the share that would
    be found by the tail that fits it: the highest of many scores follows Gumbel's distribution.
    """
    score, chance = np.array(scores), np.array(chances)
    width = float(score.std()) * 6**0.5 / np.pi
    at = float(score.mean()) - np.euler_gamma * width
    limit = (2 * np.log(TRIED / MOST_CHANCE)) ** 0.5
    return {
        "unmarked": len(score),
        "false_finds": int((chance <= MOST_CHANCE).sum()),
        "highest_score": round(float(score.max()), 2),
        "found_from_score": round(float(limit), 2),
        "share_below_chance": {str(bound): round(float((chance <= bound).mean()), 4) for bound in (0.5, 0.1, 0.01)},
        "false_finds_by_fitted_tail": float(f"{-np.expm1(-np.exp((at - limit) / width)):.1e}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Looks for the mark in scenes without it.")
    parser.add_argument("--pictures", type=Path, help="folder of pictures")
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    pictures = [] if arguments.pictures is None else sorted(path for path in arguments.pictures.iterdir() if path.is_file())
    numbers = range(arguments.scenes)
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        found = list(pool.map(partial(reading, pictures=pictures), numbers, chunksize=4))
    kinds = Counter(kind_of(number) for number in numbers)
    figures = {**summed_up(*map(list, zip(*found, strict=True))), "pictures": len(pictures) + 1, "kinds": dict(sorted(kinds.items()))}
    tell(figures, arguments.out)


if __name__ == "__main__":
    main()
