"""Finds when the words of a transcript, and the phones of these words, are heard in its recording: forced alignment by PocketSphinx."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.speech_recognition import sphinx
from core.speech_recognition.arpabet import IPA
from core.types import Phone, Samples, Word

LEAST_SCORE = -2.2
"""Of a frame on the average, natural logarithm; where a transcript is not what is said it is below."""
PAUSE_S = 0.35
"""A caption ends with the word before so long a silence."""
_SPOKEN = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Aligned:
    """words, phones: as of `Audio`; both empty where the transcript does not fit the recording.

    unknown: words that nobody could say how to pronounce; then nothing was looked for.
    """

    words: tuple[Word, ...] = ()
    phones: tuple[Phone, ...] = ()
    unknown: tuple[str, ...] = ()


def align(samples: Samples, transcript: str, pronounce: Callable[[Sequence[str]], dict[str, str]], cancel: threading.Event) -> Aligned:
    """transcript: plain text of what is said in (n,) samples. pronounce: gives the phones of words that the dictionary lacks, by name
    (`arpabet.py`), as far as it knows them. Raises as `sphinx.recognised`.
    """
    written = [token for token in transcript.split() if _SPOKEN.search(token)]
    said = [_plain(token) for token in written]
    if not said:
        return Aligned()
    task = {"task": "align", "words": said, "pronunciations": {}}
    answer = sphinx.asked(samples, task, cancel)
    if unknown := answer.get("unknown"):
        answer = sphinx.asked(samples, {**task, "pronunciations": pronounce(unknown)}, cancel)
    if unknown := answer.get("unknown"):
        return Aligned(unknown=tuple(unknown))
    if answer["score"] is None or answer["score"] < LEAST_SCORE:
        return Aligned()
    times = [(start_s, end_s) for _, start_s, end_s in answer["words"]]
    ends = [after[0] - end_s >= PAUSE_S for (_, end_s), after in pairwise(times)] + [True]
    words = tuple(Word(text, start_s, end_s, last) for text, (start_s, end_s), last in zip(written, times, ends, strict=True))
    return Aligned(words, tuple(Phone(IPA.get(name, ""), start_s, end_s) for name, start_s, end_s in answer["phones"]))


def _plain(token: str) -> str:
    """As the dictionary writes it: "Harbour," is "harbour"."""
    return re.sub(r"^\W+|\W+$", "", token.lower().replace("’", "'")) or token.lower()
