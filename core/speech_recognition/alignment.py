"""Finds when the words of a transcript, and the phones of these words, are heard in its recording: forced alignment by PocketSphinx."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.speech_recognition import sphinx
from core.speech_recognition.arpabet import IPA
from core.types import Phone, Samples, Word

LEAST_SCORE = -4.5
"""Of the phones' frames on the average, natural logarithm: about -2.8 where the transcript is what is said, -6.6 where it is not."""
MOST_UNSAID = 0.25
"""Share of the loud time that may lie outside the phones: more is speech that the transcript lacks."""
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
    phones = [(name, start_s, end_s) for name, start_s, end_s, _ in answer["phones"]]
    if not phones or _score(answer["phones"]) < LEAST_SCORE or _unsaid(samples, phones) > MOST_UNSAID:
        return Aligned()
    spoken, times, at = [phone for phone in phones if phone[0]], [], 0
    for n in answer["words"]:
        times.append((spoken[at][1], spoken[at + n - 1][2]))
        at += n
    ends = [after[0] - before[1] >= PAUSE_S for before, after in pairwise(times)] + [True]
    words = tuple(Word(text, start_s, end_s, last) for text, (start_s, end_s), last in zip(written, times, ends, strict=True))
    return Aligned(words, tuple(Phone(IPA.get(name, ""), start_s, end_s) for name, start_s, end_s in phones))


def _score(phones: Sequence[tuple[str, float, float, float]]) -> float:
    spoken = [(end_s - start_s, score) for name, start_s, end_s, score in phones if name]
    return sum(seconds * score for seconds, score in spoken) / sum(seconds for seconds, _ in spoken)


def _unsaid(samples: Samples, phones: Sequence[tuple[str, float, float]]) -> float:
    """Share of the frames of 10 ms as loud as speech (within 15 dB of its median) that are in no phone."""
    n = len(samples) // 160
    level = 10 * np.log10(np.square(samples[: n * 160].reshape(n, 160), dtype=np.float64).mean(1) + 1e-10)
    said = np.zeros(n, np.bool_)
    for name, start_s, end_s in phones:
        if name:
            said[round(start_s * 100) : round(end_s * 100)] = True
    loud = level > (np.median(level[said]) if said.any() else 0.0) - 15
    return float((loud & ~said).sum() / max(1, loud.sum()))


def _plain(token: str) -> str:
    """As the dictionary writes it: "Harbour," is "harbour"."""
    return re.sub(r"^\W+|\W+$", "", token.lower().replace("’", "'")) or token.lower()
