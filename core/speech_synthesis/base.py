"""The contract of speech synthesisers: voices, pieces of speech with the times of their words, and the synthesiser itself."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import Cancelled
from core.types import Phone, Word

MIN_SPEED, MAX_SPEED = 0.5, 2.0
"""Bounds of a speed relative to the voice's usual one."""
SERVICE_PREFIX = "service-"
"""What the ids of voices of a speech service begin with."""


@dataclass(frozen=True)
class Voice:
    """One voice.

    id: what it is asked for by, unique among all synthesisers. language: BCP 47, such as en-US; "" where it speaks several.
    sample_rate_hz: of all its speech. licence: of the voice as it is used here. natural: it sounds like a person; else plainly like a
    machine.
    """

    id: str
    name: str
    language: str
    sample_rate_hz: int
    licence: str
    natural: bool


@dataclass(frozen=True, eq=False)
class Speech:
    """One piece of speech.

    samples: (n,) float32, mono, -1..1, n >= 1. text: what is said in it; "" for a pause. words: in order, their times from its start; empty
    where the synthesiser does not know them. phones: the same of its phones, with silences, so that they cover it from start to end.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    text: str = ""
    words: tuple[Word, ...] = ()
    phones: tuple[Phone, ...] = ()

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


def from_int16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """-32768..32767 as -1..1."""
    return samples.astype(np.float32) / np.float32(32768)


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """The reverse, bounded."""
    return (np.clip(samples, -1.0, 32767 / 32768) * 32768).round().astype(np.int16)


def check_cancel(cancel: threading.Event) -> None:
    """Raises Cancelled once the event is set."""
    if cancel.is_set():
        raise Cancelled("The speech was cancelled.")


def words_at(piece: Speech, at_s: float) -> tuple[Word, ...]:
    """The words of a piece that begins at `at_s` of a recording."""
    last = len(piece.words) - 1
    return tuple(Word(word.text, word.start_s + at_s, word.end_s + at_s, index == last) for index, word in enumerate(piece.words))


def phones_at(piece: Speech, at_s: float) -> tuple[Phone, ...]:
    """The same of its phones."""
    return tuple(Phone(phone.ipa, phone.start_s + at_s, phone.end_s + at_s) for phone in piece.phones)


def joined(pieces: Iterable[Speech]) -> Speech:
    """All pieces as one; the times of words and phones count from its start. At least one piece, all of one sampling rate."""
    parts = list(pieces)
    words: list[Word] = []
    phones: list[Phone] = []
    at_s = 0.0
    for part in parts:
        words += words_at(part, at_s)
        phones += phones_at(part, at_s)
        at_s += part.duration_s
    text = " ".join(part.text for part in parts if part.text)
    return Speech(np.concatenate([part.samples for part in parts]), parts[0].sample_rate_hz, text, tuple(words), tuple(phones))
