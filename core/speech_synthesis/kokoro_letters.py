"""Turns espeak-ng's phones into the letters that Kokoro-82M reads, word by word."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.speech_synthesis.espeak_library import SpokenWord

FOLDER = Path(__file__).parent / "voices"
MAX_LETTERS = 480
"""Letters at once: the network takes 510 with the silence around them."""
_PAUSES = ",.;:!?…—"

_ALL = {
    "aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "dʒ": "ʤ", "tʃ": "ʧ", "dz": "ʣ", "ts": "ʦ", "tɕ": "ʨ", "dʑ": "ʥ",
    "ɚ": "əɹ", "g": "ɡ", "ɫ": "l", "ʍ": "w", "ɬ": "l", "n̩": "ᵊn", "m̩": "ᵊm", "l̩": "ᵊl",
}  # fmt: skip
"""What Kokoro has a letter of its own for, or none."""
_ENGLISH = _ALL | {"əl": "ᵊl", "ɐ": "ə", "r": "ɹ", "x": "k", "ç": "k", "ʔ": "t", "ɑ̃": "ɑn", "ɔ̃": "ɔn"}
_US = _ENGLISH | {"ɜː": "ɜɹ", "ɾ": "T", "ɪə": "iə", "əʊ": "O", "ː": ""}
_UK = _ENGLISH | {"eə": "ɛː", "iə": "ɪə", "oʊ": "Q"}
_TABLES = {"en-US": _US, "en-GB": _UK}


@dataclass(frozen=True)
class LetteredWord:
    """A word that begins at character `start` of the text, and its letters: the first, and one past the last."""

    start: int
    first: int
    after: int


@dataclass(frozen=True)
class Letters:
    """What is said at once. numbers: of the network's alphabet."""

    numbers: tuple[int, ...]
    words: tuple[LetteredWord, ...]


@functools.cache
def alphabet() -> dict[str, int]:
    letters: dict[str, int] = json.loads((FOLDER / "letters.json").read_text("utf-8"))
    return letters


def spelled(phones: Iterable[str], language: str) -> str:
    """The letters of one word. Longer phones are looked for first; what the alphabet lacks is left out."""
    table = _TABLES.get(language, _ALL)
    known = alphabet()
    out = []
    for phone in phones:
        stress = "".join(mark for mark in phone if mark in "ˈˌ")
        rest = phone.replace("ˈ", "").replace("ˌ", "").replace("\u200d", "").replace("͡", "")
        letters = ""
        while rest:
            taken = next(n for n in (3, 2, 1) if n == 1 or rest[:n] in table)
            letters += table.get(rest[:taken], rest[:taken])
            rest = rest[taken:]
        out.append(stress + letters)
    return "".join(letter for letter in "".join(out) if letter in known)


def letters_of(text: str, words: Sequence[SpokenWord], language: str) -> list[Letters]:
    """The text as one or more pieces of at most MAX_LETTERS, cut between words. Empty where nothing is said."""
    pieces: list[Letters] = []
    line = ""
    spans: list[LetteredWord] = []

    def finish() -> None:
        nonlocal line
        if spans:
            pieces.append(Letters(tuple(alphabet()[letter] for letter in line), tuple(spans)))
        line = ""
        spans.clear()

    for index, word in enumerate(words):
        letters = spelled(word.phones, language)[: MAX_LETTERS - 2]
        if not letters:
            continue
        if len(line) + 1 + len(letters) + 1 > MAX_LETTERS:
            finish()
        if line:
            line += " "
        spans.append(LetteredWord(word.start, len(line), len(line) + len(letters)))
        line += letters
        if word.ends_clause:
            line += _pause(text, word, words[index + 1] if index + 1 < len(words) else None)
    finish()
    return pieces


def _pause(text: str, word: SpokenWord, following: SpokenWord | None) -> str:
    """The mark after the last word of a clause, from the text: a comma where none stands there."""
    between = text[word.end : following.start if following else len(text)]
    marks = [mark for mark in between.replace("。", ".").replace("।", ".").replace("？", "?").replace("！", "!") if mark in _PAUSES]
    return marks[0] if marks else "," if following else "."
