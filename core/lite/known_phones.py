"""The phones of an utterance as they become known, and the mouth that says them, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.lite.phones import BEHIND_S, Segment, Shapes, shapes
from core.types import FPS, Phone

MARGIN_S = BEHIND_S + 0.1
"""Phones that ended so long before a row are forgotten: they count for no row any more."""


@dataclass(frozen=True)
class KnownShapes:
    """Of n rows. known: (n,) whether their phones are known; `shapes` count for those alone."""

    known: NDArray[np.bool_]
    shapes: Shapes


class KnownPhones:
    """Of one utterance. ahead_s: of a row's middle; what begins later does not count for it, so that it does not matter how early a phone
    is told, as long as it is told with the sound in which it begins.
    """

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s
        self._segments: list[Segment] = []

    def add(self, phones: Sequence[Phone]) -> None:
        """The next ones, seconds from the start of the utterance."""
        self._segments += [(phone.ipa, phone.start_s, phone.end_s) for phone in phones]

    def rows(self, first: int, n: int) -> KnownShapes | None:
        """Of the n rows from `first` on, each once and in order; None where none of them is known."""
        t = (np.arange(first, first + n) + 0.5) / FPS
        if not n or not self._segments:
            return None
        self._segments = [segment for segment in self._segments if segment[2] > t[0] - MARGIN_S]
        near = [segment for segment in self._segments if segment[1] < t[-1] + self._ahead_s]
        known = np.zeros(n, np.bool_)
        for _, start_s, end_s in near:
            known |= (t >= start_s) & (t < end_s)
        if not known.any():
            return None
        return KnownShapes(known, shapes(near, t, ahead_s=self._ahead_s, ends=False))
