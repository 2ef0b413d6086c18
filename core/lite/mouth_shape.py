"""The lips of one frame, and where a picture of them comes from, as the mouth's warp gives them to those who draw and paint."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from core.lite.local_frame import Array


@dataclasses.dataclass(frozen=True, eq=False)
class MouthShape:
    """The lips of one frame, as tables over the frame's x: target lines and the displacement of each anchored line."""

    upper: Array
    lower: Array
    d_upper: Array
    d_upper_outer: Array
    d_lower: Array
    d_lower_outer: Array
    d_chin: Array
    d_x: Array
    jaw_px: float
    gap_px: float
    rounding: float
    tongue: float = 0.0

    def eased(self, upper_src: Array, lower_src: Array, weight: float) -> MouthShape:
        """On the way from the lips as they are in the picture, whose lines are given, 0, to this, 1."""
        share = np.float32(weight)
        moved = {name: getattr(self, name) * share for name in ("d_upper", "d_upper_outer", "d_lower", "d_lower_outer", "d_chin", "d_x")}
        upper = upper_src + (self.upper - upper_src) * share
        lower = lower_src + (self.lower - lower_src) * share
        return dataclasses.replace(self, upper=upper, lower=lower, **moved)


class MouthLayers(NamedTuple):
    """How the mouth moves what is at some places, (rows, columns) each: it comes from x more to the right, and from y less below, in the
    upper and in the lower face. Smooth, so a few samples tell of all pixels; a layer is 0 in rows that are far from it."""

    x: Array
    upper: Array
    lower: Array


class MouthSource(NamedTuple):
    """Where pixels of a drawn mouth come from, and what is seen there, (rows, columns) each: x and y in frame coordinates, the index of x
    in the tables, and how much of a pixel the open mouth covers, 0..1."""

    x: Array
    y: Array
    column: Array
    covered: Array
