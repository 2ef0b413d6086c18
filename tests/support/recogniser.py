"""Listens to speech with PocketSphinx, and counts the words that it hears wrongly."""

from __future__ import annotations

import re

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

RATE_HZ = 16_000


class Recogniser:
    """English as it is spoken in America. Not thread-safe."""

    def __init__(self) -> None:
        self._decoder = pocketsphinx.Decoder(lm=pocketsphinx.get_model_path("en-us/en-us.lm.bin"), loglevel="FATAL")

    def hear(self, samples: NDArray[np.float32]) -> list[str]:
        """The words in (n,) samples at RATE_HZ, -1..1."""
        self._decoder.start_utt()
        self._decoder.process_raw((samples * 32767).astype(np.int16).tobytes(), full_utt=True)
        self._decoder.end_utt()
        return words(self._decoder.hyp().hypstr) if self._decoder.hyp() else []


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def errors(said: list[str], heard: list[str]) -> int:
    """Words wrong, missing or too many."""
    row = list(range(len(heard) + 1))
    for index, word in enumerate(said, 1):
        previous, row[0] = row[0], index
        for at, other in enumerate(heard, 1):
            previous, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, previous + (word != other))
    return row[-1]
