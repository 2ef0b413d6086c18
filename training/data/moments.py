"""Statistics of the motion of a data set: bounds, mean and scale of each of the 265 numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from core.atomic_components.pose import MOTION_DIM
from training.data.clip import Array
from training.data.manifest import Moments
from training.files import DataError


def moments_of(motions: Iterable[Array]) -> Moments:
    """motions: (n, 265) each. Means are merged clip by clip (Chan et al. 1982), so that memory does not grow with the data set.

    The four rows of the published `v_min_max_for_clip`: the first two are bounds; that the others are mean and standard deviation is how
    this project fills them, as nothing reads them. Raises DataError without any motion.
    """
    low, high = np.full(MOTION_DIM, np.inf), np.full(MOTION_DIM, -np.inf)
    n, mean, squares = 0, np.zeros(MOTION_DIM), np.zeros(MOTION_DIM)
    for motion in motions:
        rows = motion.astype(np.float64)
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        own = rows.mean(axis=0)
        apart, both = own - mean, n + len(rows)
        squares += np.square(rows - own).sum(axis=0) + np.square(apart) * (n * len(rows) / both)
        mean += apart * (len(rows) / both)
        n = both
    if not n:
        raise DataError("No clip is left to train on.", "The list above says why each was dropped.")
    scale = np.sqrt(squares / n)
    return Moments(minimum=tuple(low.tolist()), maximum=tuple(high.tolist()), mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))
