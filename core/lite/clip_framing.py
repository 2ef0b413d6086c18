"""Framing of a clip: one part of its picture for all frames, which holds the face wherever it goes."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from core.optimization.resolution_optimization import CUT_PER_FACE, Box, Cut, Framed, framed
from core.request import RenderOptions

ROOM = 1.3
"""Side of the cut over that of the box in which the face moves, at least, where the clip's picture is large enough."""


def clip_framed(width: int, height: int, boxes: NDArray[np.float32], options: RenderOptions) -> Framed:
    """What `options` ask for of a clip of width x height pixels whose face is at `boxes` (n, 4): as `framed`, but whole pixels, all of
    them in the picture. At the clip's own size its pixels are shown as they are.
    """
    shown = framed(width, height, _box(boxes) if options.crop is None else _everywhere(boxes), options)
    cut = shown.cut
    fit = min(1.0, width / cut.width, height / cut.height)
    cut_width, cut_height = max(2, round(cut.width * fit)), max(2, round(cut.height * fit))
    if options.size == "source" and max(cut_width, cut_height) <= options.max_size:
        cut_width, cut_height = cut_width // 2 * 2, cut_height // 2 * 2
        shown = dataclasses.replace(shown, width=cut_width, height=cut_height)
    x = np.clip(round(cut.x + (cut.width - cut_width) / 2), 0, width - cut_width)
    y = np.clip(round(cut.y + (cut.height - cut_height) / 2), 0, height - cut_height)
    return dataclasses.replace(shown, cut=Cut(int(x), int(y), cut_width, cut_height))


def _everywhere(boxes: NDArray[np.float32]) -> Box:
    """The box that holds all."""
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _box(boxes: NDArray[np.float32]) -> Box:
    """A box in the middle of where the face goes: as large as the face, or so large that the cut around it holds where the face goes."""
    x0, y0, x1, y1 = _everywhere(boxes)
    face = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
    half = max(face, max(x1 - x0, y1 - y0) * ROOM / CUT_PER_FACE) / 2
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    return cx - half, cy - half, cx + half, cy + half
