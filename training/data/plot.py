"""Draws what a data set is like: lengths of clips, what was dropped, and how the head and the mouth move."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from core.atomic_components.pose import LAYOUT, degrees
from core.types import FPS
from training.data.clip import ClipArrays
from training.data.manifest import Manifest
from training.files import write_bytes

_INK, _FAINT, _BAR = "#24292f", "#8c959f", "#1f6feb"


def save_distributions(manifest: Manifest, clips: Sequence[ClipArrays], path: Path) -> None:
    """A PNG of 1600 by 900 pixels. clips: those shown, all of them or a sample. Raises OutputError."""
    figure = Figure(figsize=(16, 9), dpi=100, facecolor="white", layout="constrained")
    total = sum(source.seconds for source in manifest.sources)
    figure.suptitle(
        f"{manifest.seconds / 60:.1f} min in {len(manifest.clips)} clips, of {total / 60:.1f} min in {len(manifest.sources)} videos",
        x=0.02, ha="left", fontsize=17, color=_INK,
    )  # fmt: skip
    panels = figure.subplots(2, 4).ravel()
    histogram(panels[0], "Length of clips", "seconds", np.array([clip.frames / FPS for _, clip in manifest.clips]))
    _dropped(panels[1], manifest)
    for panel, name in zip(panels[2:5], ("pitch", "yaw", "roll"), strict=True):
        histogram(panel, name.capitalize(), "degrees", np.concatenate([degrees(clip.motion[:, LAYOUT[name]]) for clip in clips]))
    histogram(panels[5], "Scale", "", np.concatenate([clip.motion[:, 0] + 1 for clip in clips]))
    histogram(panels[6], "Opening of the mouth", "distances of the eyes", np.concatenate([clip.mouth[:, 0] for clip in clips]))
    histogram(panels[7], "Opening of the eyes", "", np.concatenate([clip.eye_open.mean(axis=1) for clip in clips]))
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    write_bytes(path, drawn.getvalue())


def histogram(axes: Any, title: str, below: str, values: np.ndarray[Any, Any]) -> None:
    axes.hist(values, bins=40, color=_BAR)
    style(axes, title, below)


def _dropped(axes: Any, manifest: Manifest) -> None:
    seconds: dict[str, float] = defaultdict(float)
    for source in manifest.sources:
        for each in source.dropped:
            seconds[each.reason] += each.to_s - each.from_s
    names = sorted(seconds, key=seconds.__getitem__)
    axes.barh(names, [seconds[name] for name in names], color=_BAR)
    style(axes, "Dropped" if names else "Nothing was dropped", "seconds")


def style(axes: Any, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, color=_INK)
    axes.set_xlabel(below, fontsize=12, color=_FAINT)
    axes.tick_params(colors=_FAINT, labelsize=11)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color(_FAINT)
