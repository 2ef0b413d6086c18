"""Spells a text in the letters that Kokoro-82M reads, word by word: by a dictionary, or from espeak-ng's phones."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.speech_synthesis.espeak_library import SpokenWord
from core.speech_synthesis.pronunciations import FOLDER, LANGUAGES, begins_with_vowel, look_up

MAX_LETTERS = 300
"""Letters at once, some twenty seconds: the network takes 510, and less costs less time and memory."""
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


@functools.cache
def _by_number() -> dict[int, str]:
    return {number: letter for letter, number in alphabet().items()}


def spelling(numbers: Iterable[int]) -> list[str]:
    """The letters that the numbers stand for."""
    return [_by_number()[number] for number in numbers]


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


def letters_of(text: str, said: Sequence[tuple[int, str, str]]) -> list[Letters]:
    """The text as one or more pieces of at most MAX_LETTERS, cut between written words where that is possible. Empty where nothing is said.

    said: (first character, letters, mark of the pause after it) of what is said, one by one, as `said_of` gives it.
    """
    pieces: list[Letters] = []
    line = ""
    spans: list[LetteredWord] = []

    def finish() -> None:
        nonlocal line
        if spans:
            pieces.append(Letters(tuple(alphabet()[letter] for letter in line), tuple(spans)))
        line = ""
        spans.clear()

    for written in _written_words(text, said):
        if len(line) + sum(len(letters) + 2 for _, letters, _ in written) > MAX_LETTERS:
            finish()
        for start, letters, pause in written:
            if len(line) + len(letters) + 2 > MAX_LETTERS:  # one written word that is longer than all that fits
                finish()
            line += " " if line else ""
            spans.append(LetteredWord(start, len(line), len(line) + len(letters)))
            line += letters + pause
    finish()
    return pieces


def _written_words(text: str, said: Sequence[tuple[int, str, str]]) -> list[list[tuple[int, str, str]]]:
    """The same gathered by the words between blanks."""
    found: list[list[tuple[int, str, str]]] = []
    for start, letters, pause in said:
        if not found or any(character.isspace() for character in text[found[-1][-1][0] : start]):
            found.append([])
        found[-1].append((start, letters, pause))
    return found


def said_of(text: str, words: Sequence[SpokenWord], language: str) -> list[tuple[int, str, str]]:
    """What is said, one by one: by the dictionary of the language where it has all words of what is said at once, else by espeak-ng."""
    said: list[tuple[int, tuple[str, str], str]] = []  # letters before a consonant or pause, and before a vowel
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else None
        pause = _pause(text, word, following) if word.ends_clause else ""
        segment = text[word.start : following.start if following else len(text)]
        known = None
        if language in LANGUAGES and (word.ends_clause or "." not in segment):  # a full stop within a clause is an abbreviation's
            known = look_up(segment, language)
        if known is None:
            phones = spelled(word.phones, language)
            known = [(0, phones, phones)] if phones else []
        for number, (at, plain, before_vowel) in enumerate(known, 1):
            said.append((word.start + at, (plain, before_vowel), pause if number == len(known) else ""))
    result = []
    for index, (start, letters, pause) in enumerate(said):
        linked = not pause and index + 1 < len(said) and begins_with_vowel(said[index + 1][1][0])
        result.append((start, letters[linked][: MAX_LETTERS - 2], pause))
    return result


def _pause(text: str, word: SpokenWord, following: SpokenWord | None) -> str:
    """The mark after the last word of a clause, from the text: a comma where none stands there."""
    between = text[word.end : following.start if following else len(text)]
    marks = [mark for mark in between.replace("。", ".").replace("।", ".").replace("？", "?").replace("！", "!") if mark in _PAUSES]
    return marks[0] if marks else "," if following else "."
