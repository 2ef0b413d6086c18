"""Draws a sync report as a picture: both curves over time, what fits by seconds, and the correlation at each offset."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from core.media.video import as_project_error
from core.sync.correlation import F64, LAGS, OPENING
from core.sync.report import DELAY_MS, EARLY_MS, LATE_MS, Measured, Second
from core.sync.words import verdict
from core.types import FPS

_SEEN, _ASKED, _INK, _FAINT = "#1f6feb", "#f0a35e", "#24292f", "#8c959f"
_FITS, _FAILS, _UNKNOWN, _QUIET = "#2da44e", "#d1242f", "#d0d7de", "#f3f5f7"
_SHOWN_S = 120
"""Of a longer video the curves show so much of the beginning; the strip below shows all of it."""


def save_plot(measured: Measured, name: str, path: Path) -> None:
    """Writes a PNG of 1600 by 900 pixels. Raises OutputError where it cannot be written."""
    figure = Figure(figsize=(16, 9), dpi=100, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12, hspace=0.04)  # type: ignore[union-attr, call-arg]
    curves, strip, offsets = figure.subplots(3, 1, height_ratios=(5, 1, 4))
    figure.suptitle(f"{name}\n{_wrapped(verdict(measured.report))}", x=0.02, ha="left", fontsize=17, color=_INK)
    _draw_curves(curves, measured)
    _draw_strip(strip, measured)
    _draw_offsets(offsets, measured)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    try:
        path.write_bytes(drawn.getvalue())
    except OSError as error:
        raise as_project_error(error, path) from error


def _wrapped(sentence: str) -> str:
    return sentence if len(sentence) < 130 else sentence.replace(": ", ":\n", 1)


def _draw_curves(axes: Any, measured: Measured) -> None:
    seen, asked = measured.seen[: _SHOWN_S * FPS, OPENING], measured.asked.curves[: _SHOWN_S * FPS, OPENING]
    times = measured.asked.start_s + (np.arange(len(asked)) + 0.5) / FPS
    axes.fill_between(times, 0, _scaled(asked), color=_ASKED, alpha=0.55, linewidth=0, label="asked by the sound")
    axes.plot(times, _scaled(seen), color=_SEEN, linewidth=1.6, label="seen in the picture")
    _label(axes, "How far the lips are open", "", "")
    axes.set_yticks([])
    axes.set_ylim(-0.04, 1.35)
    if len(times):
        axes.set_xlim(measured.asked.start_s, measured.asked.start_s + len(asked) / FPS)
        axes.legend(loc="upper right", ncols=2, frameon=False, fontsize=12)


def _scaled(values: F64) -> F64:
    """From closed (0) to its widest (1), whatever the face."""
    if not np.isfinite(values).any():
        return values
    low, high = np.nanpercentile(values, (3, 99))
    out: F64 = np.clip((values - low) / max(high - low, 1e-6), -0.02, 1.2)
    return out


def _draw_strip(axes: Any, measured: Measured) -> None:
    timeline = measured.report.timeline
    gap = 2 if len(timeline) < 200 else 0
    for second in timeline:
        axes.axvspan(second.from_s, second.from_s + 1, facecolor=_colour(second), edgecolor="white", linewidth=gap)
    _label(axes, "By seconds", "seconds", "")
    axes.set_yticks([])
    start_s = measured.asked.start_s
    axes.set_xlim(start_s, start_s + max(len(measured.seen) / FPS, 0.04))
    kinds = ((_FITS, "fits"), (_FAILS, "does not"), (_UNKNOWN, "not seen"), (_QUIET, "no speech"))
    for colour, word in kinds:
        axes.plot([], [], "s", color=colour, markersize=10, label=word)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=12, handletextpad=0.1)


def _colour(second: Second) -> str:
    if second.speech < 0.2:
        return _QUIET
    return _UNKNOWN if second.fits is None else _FITS if second.fits else _FAILS


def _draw_offsets(axes: Any, measured: Measured) -> None:
    report, values = measured.report, measured.correlations
    _label(axes, "How well they fit, by offset", "ms by which the picture is late (left: the sound is late)", "correlation")
    axes.set_xlim(LAGS[0] * 1000 / FPS, LAGS[-1] * 1000 / FPS)
    axes.set_ylim(-0.5, 1.15)
    axes.axvspan(EARLY_MS, LATE_MS, color=_FITS, alpha=0.09, linewidth=0)
    axes.text(EARLY_MS + 4, 1.1, "unnoticed", color=_FITS, fontsize=12, va="top")
    axes.axhline(0, color=_UNKNOWN, linewidth=1)
    if values is None or report.offset_ms is None or report.confidence is None:
        return
    offsets, middle = LAGS * 1000 / FPS - DELAY_MS, float(np.nanmedian(values))
    axes.plot(offsets, values, color=_SEEN, linewidth=2, marker="o", markersize=4)
    axes.axhline(middle, color=_FAINT, linewidth=1.2, linestyle=(0, (5, 4)))
    beside = {"xycoords": ("axes fraction", "data"), "xytext": (6, 0), "textcoords": "offset points"}
    axes.annotate("median", (1, middle), **beside, color=_FAINT, fontsize=12, va="center")
    axes.axvline(report.offset_ms, color=_INK, linewidth=1.2)
    said = f"{round(report.offset_ms):+d} ms, confidence {report.confidence:.2f}"
    left = report.offset_ms > 250
    axes.text(report.offset_ms + (-10 if left else 10), 1.1, said, color=_INK, fontsize=13, ha="right" if left else "left", va="top")


def _label(axes: Any, title: str, below: str, beside: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, color=_INK)
    axes.set_xlabel(below, fontsize=12, color=_FAINT)
    axes.set_ylabel(beside, fontsize=12, color=_FAINT)
    axes.tick_params(colors=_FAINT, labelsize=11)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_UNKNOWN)
