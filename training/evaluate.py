"""Command line that measures the motion of a trained model on clips that it has not seen.

    python -m training.evaluate run/ --out evaluation/

Exit code 0; 2 for bad input; 1 for anything else; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from core.command_line import OneLineParser, end_like_ctrl_c, exit_code
from core.optimization.gpu_optimization import place
from core.progress_bar import ProgressBar
from core.types import FPS
from training.data.clip import Array, ClipArrays
from training.data.manifest import read_manifest
from training.data.plot import save_figure, style
from training.data.shards import ShardReader
from training.data.windows import split
from training.files import DataError, write_bytes, write_json
from training.generate import Generator
from training.learner import scale_of
from training.metrics import MouthReading, Scores, score
from training.run_folder import trained

FITTED = 200
"""Clips that the reading of the mouth is fitted on."""
SHOWN = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = OneLineParser(prog="training.evaluate", description="Measures the motion of a trained model on clips that it has not seen.")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for the table and the curves (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="the data set (default: the run's)")
    parser.add_argument("--state", type=int, metavar="STEP", help="the state of this step (default: the newest)")
    parser.add_argument("--steps", type=int, default=25, help="of the sampler (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="motions for each clip (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=50, help="at most so many (default: %(default)s)")
    parser.add_argument("--device", help='"cuda" or "cpu" (default: a GPU where there is one)')
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: evaluate(chosen))


def evaluate(chosen: argparse.Namespace) -> None:
    for name, most in (("steps", 1000), ("seeds", 100), ("clips", 100_000)):
        if not 1 <= getattr(chosen, name) <= most:
            raise DataError(f"--{name} is {getattr(chosen, name)}.", f"It lies between 1 and {most}.")
    network, config, learnt, state = trained(chosen.run, chosen.state)
    folder = chosen.data or Path(config.data)
    manifest, reader = read_manifest(folder), ShardReader(folder)
    train, held_out = split(manifest, config.validation)
    if not held_out:
        sys.stdout.write("no video is held out: these are clips that were learnt\n")
    clips = [reader.whole(clip) for clip in (held_out or train)[: chosen.clips]]
    reading = MouthReading.fit([reader.whole(clip) for clip in train[:FITTED]])
    scale = scale_of(learnt.motion).numpy()
    generate = Generator(network, config, chosen.steps, place(chosen.device).device)
    scores: list[Scores] = []
    shown: list[tuple[ClipArrays, Array]] = []
    bar = ProgressBar()
    with torch.inference_mode():
        for number, clip in enumerate(clips, 1):
            made = [generate(clip, seed) for seed in range(chosen.seeds)]
            scores.append(score(made, clip, reading, scale))
            shown = [*shown, (clip, made[0])][:SHOWN]
            bar.show(f"clip {number}/{len(clips)}")
    bar.end()
    means = averages(scores)
    about = {"step": state.step, "clips": len(clips), "held_out": bool(held_out), "reading_r": reading.r, "mean": means}
    write_json(chosen.out / "scores.json", {**about, "by_clip": [dataclasses.asdict(each) for each in scores]})
    lines = table(means, reading, state.step, len(clips))
    write_bytes(chosen.out / "scores.md", lines.encode())
    save_curves(shown, reading, chosen.out / "curves.png")
    sys.stdout.write(f"{lines}\n{chosen.out / 'scores.json'} has each clip, {chosen.out / 'curves.png'} shows {len(shown)} of them\n")


def averages(scores: Sequence[Scores]) -> dict[str, float | None]:
    """By name, over the clips that have a value."""
    found: dict[str, float | None] = {}
    for field in dataclasses.fields(Scores):
        values = [value for each in scores if (value := getattr(each, field.name)) is not None]
        found[field.name] = float(np.mean(values)) if values else None
    return found


WORDS = {
    "error": "motion error (1: as far off as the data vary)",
    "lips_r": "opening of the mouth, correlation with the clip",
    "closures": "closed lips, F1",
    "sync_ms": "sync offset, ms (+: the lips are late)",
    "sync_confidence": "sync confidence",
    "diversity": "diversity between seeds",
    "beats": "beats of the head at beats of the sound",
    "clip_beats": "the same of the clips themselves",
}


def table(means: dict[str, float | None], reading: MouthReading, step: int, clips: int) -> str:
    """Markdown."""
    rows = [f"| {WORDS[name]} | {'too little speech' if value is None else f'{value:.3f}'} |" for name, value in means.items()]
    head = f"Step {step}, {clips} clips. The mouth is read from keypoints with r = {reading.r:.2f}.\n"
    return "\n".join([head, "| | |", "| --- | --- |", *rows, ""])


def save_curves(shown: Sequence[tuple[ClipArrays, Array]], reading: MouthReading, path: Path) -> None:
    """The opening of the mouth over time, in the clip and as made."""
    figure = Figure(figsize=(14, 3 * len(shown) + 1), dpi=100, facecolor="white", layout="constrained")
    for axes, (clip, made) in zip(np.ravel(figure.subplots(len(shown), 1)), shown, strict=True):
        times = np.arange(len(clip)) / FPS
        axes.plot(times, clip.mouth[:, 0] - clip.mouth[:, 0].mean(), color="#f0a35e", linewidth=3, label="in the clip")
        axes.plot(times, reading(made, clip.motion)[:, 0], color="#1f6feb", linewidth=1.6, label="made")
        style(axes, "How far the mouth is open, about its mean", "seconds")
        axes.legend(loc="upper right", frameon=False, ncols=2)
    save_figure(figure, path)


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
