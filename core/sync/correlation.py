"""Compares what lips do with what the sound asks of them, at every shift of up to 15 frames.

Both are rows of 40 ms from the same moment on: how far the lips are open, and how wide the mouth is (`Curves`). NaN is a row that was not
seen. For each lag L, row i of the picture is compared with row i - L of the sound, by Pearson's correlation over the rows that both have,
of opening and of width, and their weighted mean is the correlation at that lag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import FPS

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Curves = NDArray[np.float64]
"""(n, 2) float64: columns OPENING and WIDTH, 25 rows a second."""
OPENING, WIDTH = range(2)

MOST_LAG = 15
LAGS = np.arange(-MOST_LAG, MOST_LAG + 1)
WEIGHTS = (0.65, 0.35)
"""Of opening and width. On real people's lips width says less, but errs at other lags: with it the highest correlation with sound that
is not theirs falls by a third, that with their own by a tenth."""
SLOW_ROWS = 26
"""What changes over more than a second (a head that turns, a smile) is no speech: a running mean of so many rows on each side goes."""
BIN_ROWS = 5
"""Lips at moments 0.2 s apart know little of each other: so many rows count as one observation."""
LEAST_BINS = 5
STILL = 0.02
"""Lips whose opening varies by less hardly move, and what they do may be noise: the confidence is less in proportion. With speech it varies
by 0.11 to 0.28."""
CHANCE = 0.85
"""Sound that is not its own gives a video of t seconds a confidence above CHANCE / sqrt(t) once in 20 times (six clips of real people of 5
to 20 s, each with the sound of the others, moved round by every half second: 0.75 to 1.0)."""

SPARSE = 1.12
"""Where only some frames were looked at, luck reaches that much more (nine videos of the lite engine, 16 frames of each)."""


@dataclass(frozen=True, eq=False)
class Match:
    """How well two curves fit at the lag where they fit best.

    lag: in rows, with fraction; positive: the picture is late. confidence: the highest correlation less the median of all 31 lags, less
    yet of lips that hardly move. chance: a confidence below it may be luck. correlations: (31,) float64 at LAGS, NaN where too few rows
    meet. seconds: of speech that were compared.
    """

    lag: float
    confidence: float
    chance: float
    correlations: F64
    seconds: float

    @property
    def certain(self) -> bool:
        return self.confidence >= self.chance


def match(seen: Curves, asked: Curves, speech: Mask, sparse: bool = False) -> Match | None:
    """The best lag; None where less than a second of speech is seen.

    speech: (n,), rows in which somebody speaks. sparse: of the picture only some frames were looked at; nothing slow is taken off then.
    """
    seconds = observed_s(seen, speech)
    if seconds < LEAST_BINS * BIN_ROWS / FPS:
        return None
    found = correlations(seen if sparse else without_slow(seen), asked if sparse else without_slow(asked))
    if np.isnan(found).all():
        return None
    best = int(np.nanargmax(found))
    confidence = float(found[best] - np.nanmedian(found)) * min(movement(seen) / STILL, 1.0)
    by_luck = chance(seconds) * (SPARSE if sparse else 1.0)
    return Match(float(LAGS[best]) + _fraction(found, best), confidence, by_luck, found, seconds)


def movement(seen: Curves) -> float:
    """How much the opening varies: from the 5th to the 95th percentile of the rows that were seen, of which there must be any."""
    low, high = np.nanpercentile(seen[:, OPENING], (5, 95))
    return float(high - low)


def observed_s(seen: Curves, speech: Mask) -> float:
    """Seconds of speech in which the mouth was seen, counted in pieces of BIN_ROWS."""
    rows = np.flatnonzero(speech & np.isfinite(seen[:, OPENING]))
    return len(np.unique(rows // BIN_ROWS)) * BIN_ROWS / FPS


def chance(seconds: float) -> float:
    """The confidence that `seconds` of speech reach by luck once in 20 times."""
    return CHANCE / math.sqrt(max(seconds, 1.0))


def correlations(seen: Curves, asked: Curves, lags: NDArray[np.int_] = LAGS, least_rows: int = LEAST_BINS) -> F64:
    """(len(lags),): the weighted correlation at each lag; NaN where fewer than `least_rows` meet, or nothing moves."""
    return np.array([_weighted(*_overlap(seen, asked, int(lag)), least_rows) for lag in lags], np.float64)


def without_slow(curves: Curves) -> Curves:
    """The curves less their running mean; rows that are NaN stay so, and count for nothing."""
    window = np.hanning(2 * SLOW_ROWS + 3)[1:-1]
    out = np.empty_like(curves)
    for column, values in enumerate(curves.T):
        known = np.isfinite(values)
        weight = _smoothed(known.astype(np.float64), window)
        total = _smoothed(np.where(known, values, 0.0), window)
        out[:, column] = values - total / np.maximum(weight, 1e-9)
    return out


def _smoothed(values: F64, window: F64) -> F64:
    """numpy's mode "same" would give as many as the longer of the two has."""
    half = len(window) // 2
    return np.convolve(values, window)[half : half + len(values)]


def _overlap(seen: Curves, asked: Curves, lag: int) -> tuple[Curves, Curves]:
    """The rows that meet when the picture is late by `lag` rows."""
    first, last = max(lag, 0), min(len(seen), len(asked) + lag)
    return seen[first:last], asked[first - lag : max(last, first) - lag]


def _weighted(seen: Curves, asked: Curves, least_rows: int) -> float:
    known = np.isfinite(seen[:, OPENING]) & np.isfinite(asked[:, OPENING])
    if known.sum() < least_rows:
        return float("nan")
    total = 0.0
    for column, weight in enumerate(WEIGHTS):
        a, b = seen[known, column], asked[known, column]
        a, b = a - a.mean(), b - b.mean()
        power = float((a @ a) * (b @ b))
        if power <= 1e-18:
            if column == OPENING:
                return float("nan")
            continue  # a voice without rounded vowels still opens the mouth
        total += weight * float(a @ b) / power**0.5
    return total


def _fraction(values: F64, best: int) -> float:
    """Where between its neighbours the peak is: the top of the parabola through the three, -0.5..0.5."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, top, after = values[best - 1 : best + 2]
    bend = before - 2 * top + after
    return float(0.5 * (before - after) / bend) if np.isfinite(bend) and bend < 0 else 0.0
