"""The contract of speech synthesisers: voices, pieces of speech with the times of their words, and the synthesiser itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import Cancelled

MIN_SPEED, MAX_SPEED = 0.5, 2.0
"""Bounds of a speed relative to the voice's usual one."""


@dataclass(frozen=True)
class Voice:
    """One voice.

    id: what it is asked for by, unique among all synthesisers. language: BCP 47, such as en-US; "" where it speaks several.
    sample_rate_hz: of its speech; 0 where each answer says its own. licence: of the voice as it is used here. natural: it sounds like a
    person; else plainly like a machine.
    """

    id: str
    name: str
    language: str
    sample_rate_hz: int
    licence: str
    natural: bool


@dataclass(frozen=True)
class Word:
    """A word as it is written, and when it is heard: seconds from the start of its piece, 0 <= start_s <= end_s."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Speech:
    """One piece of speech.

    samples: (n,) float32, mono, -1..1, n >= 1. text: what is said in it; "" for a pause. words: in order; empty where the synthesiser
    does not know them.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    text: str = ""
    words: tuple[Word, ...] = ()

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz


class Synthesiser(Protocol):
    """Holds what its voices need, loaded once by whoever made it, and speaks for many callers at the same time."""

    @property
    def revision(self) -> str:
        """Changes whenever the same text could sound otherwise."""

    @property
    def voices(self) -> tuple[Voice, ...]: ...

    def warmup(self) -> None:
        """Makes the first `speak` as fast as the later ones."""

    def speak(self, text: str, voice: Voice, speed: float, cancel: threading.Event) -> Iterator[Speech]:
        """Speaks one sentence or less.

        text: checked and cleaned (core/speech_synthesis/text.py). speed: MIN_SPEED to MAX_SPEED.
        Raises Cancelled soon after `cancel` is set, EngineUnavailable where it cannot speak now. Nothing is yielded for a text without
        anything to say, such as punctuation alone.
        """


def check_cancel(cancel: threading.Event) -> None:
    """Raises Cancelled once the event is set."""
    if cancel.is_set():
        raise Cancelled("The speech was cancelled.")
