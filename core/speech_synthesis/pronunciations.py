"""The pronunciation of English words in Kokoro's letters, from the dictionaries of misaki (https://github.com/hexgrad/misaki).

A word that is pronounced in several ways, by its part of speech, is not in them here: espeak-ng decides by the words around it.
"""

from __future__ import annotations

import functools
import gzip
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "voices"
LANGUAGES = frozenset({"en-US", "en-GB"})
_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")
_BETWEEN = re.compile(r"[\s,.;:!?…—–\"'“”‘’()-]*")
_VOWELS = frozenset("AIOQWYaeiouæɑɐɒɔəɚɛɜɨɪʊʌᵊᵻ")
_BEFORE_CONSONANT_OR_VOWEL = {"the": ("ðə", "ði"), "to": ("tə", "tʊ"), "a": ("ɐ", "ɐ")}
"""Words without stress that sound otherwise before a vowel."""


def look_up(segment: str, language: str) -> list[tuple[int, str, str]] | None:
    """(its first character in the segment, its letters, its letters before a vowel) of each word; None unless all are known.

    segment: what is said at once, from its first word to the next that is said apart. language: one of LANGUAGES.
    """
    if _BETWEEN.fullmatch(_WORD.sub("", segment)) is None:
        return None
    found = []
    for match in _WORD.finditer(segment):
        word = match[0].replace("’", "'")
        if word.lower() in _BEFORE_CONSONANT_OR_VOWEL and (word.islower() or word.istitle()):
            found.append((match.start(), *_BEFORE_CONSONANT_OR_VOWEL[word.lower()]))
            continue
        letters = _letters(word, language) or ("" if len(word) > 1 and word.isupper() else _letters(word.lower(), language))
        if not letters:
            return None
        found.append((match.start(), letters, letters))
    return found or None


def begins_with_vowel(letters: str) -> bool:
    return letters.lstrip("ˈˌ")[:1] in _VOWELS


@functools.lru_cache(maxsize=10_000)
def _letters(word: str, language: str) -> str:
    """Of one word; "" where the dictionary lacks it. Its lines are searched as they are: reading all takes longer than a sentence."""
    lines, wanted = _dictionary(language), f"{word}\t".encode()
    low, high = 0, len(lines)
    while low < high:
        start = lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = lines.index(b"\n", start) + 1
        if lines.startswith(wanted, start):
            return lines[start + len(wanted) : end - 1].decode()
        if lines[start:end] < wanted:
            low = end
        else:
            high = start
    return ""


@functools.cache
def _dictionary(language: str) -> bytes:
    """Lines of a word, a tab and its letters in UTF-8, in the order of their bytes."""
    return gzip.decompress((FOLDER / f"{language}.tsv.gz").read_bytes())
