"""The texts of the training speech: sentences from templates and word lists, and pseudo-words that cover every sound.

All text here was written for this project. Sentences named in benchmarks/heldout.json are never produced (checked by `sentence`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HELD_OUT = json.loads((Path(__file__).parent.parent / "benchmarks/heldout.json").read_text(encoding="utf-8"))

_WORDS = json.loads((Path(__file__).parent / "speech_words.json").read_text(encoding="utf-8"))

_ONSETS = "p b m f v w t d n s z l r k g h j ch sh th pl br fr sp sm tr st kr gl bl pr sw tw sl".split()
_VOWELS = "a e i o u ee oo ai ou oi au ie a o e i".split()
_CODAS = ["", "", "", "m", "p", "b", "n", "t", "s", "f", "l", "r", "k", "ng", "mp", "st", "v", "sh"]

_ALPHABETS: dict[str, list[list[str]]] = _WORDS["alphabets"]
"""Languages with an alphabet of their own: consonants and vowels."""
_LETTERS: dict[str, list[str]] = _WORDS["letters"]
"""Languages read with letter-to-sound rules: the vowels of their spelling."""
LANGUAGES = tuple(sorted(set(_ALPHABETS) | set(_LETTERS)))
ENGLISH = ("en-us", "en", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-us-nyc")
VARIANTS: tuple[str, ...] = tuple(_WORDS["variants"])
"""espeak-ng's voice variants used for training (the robots are left out)."""
FLITE_VOICES = ("slt", "awb", "rms")


def _pick(rng: np.random.Generator, items: list[str]) -> str:
    return items[int(rng.integers(len(items)))]


def sentence(rng: np.random.Generator) -> str:
    """One or two English clauses, ending with a full stop or question mark."""

    def word(kind: str) -> str:
        return _pick(rng, _WORDS[kind])

    def clause() -> str:
        kind = rng.random()
        if kind < 0.55:
            said = [word("who"), word("did"), word("what")]
            return " ".join([*said, word("how")] if rng.random() < 0.6 else said)
        if kind < 0.8:
            return word("free")
        if kind < 0.88:
            return " ".join(word("numbers") for _ in range(int(rng.integers(3, 7))))
        return pseudo("en-us", rng, words=int(rng.integers(3, 7)))

    text = clause()
    if rng.random() < 0.3:
        text = word("lead") + ", " + text
    if rng.random() < 0.4:
        text += _pick(rng, [", and ", ", but ", ". ", "; ", " and "]) + clause()
    text += _pick(rng, [".", ".", "?", "!"])
    return sentence(rng) if any(held.rstrip(".?!").lower() in text.lower() for held in HELD_OUT["english_sentences"]) else text


def pseudo(language: str, rng: np.random.Generator, words: int = 8) -> str:
    """Pseudo-words in the spelling of `language`, every consonant as likely as the next."""
    out = []
    for _ in range(words):
        word = ""
        for _ in range(int(rng.integers(1, 4))):
            if language in _ALPHABETS:
                consonants, vowels = _ALPHABETS[language]
                word += _pick(rng, consonants) + _pick(rng, vowels)
                word += _pick(rng, consonants) if language not in ("hi", "ar") and rng.random() < 0.25 else ""
            else:
                vowels = _LETTERS[language] if language in _LETTERS else _VOWELS
                word += _pick(rng, _ONSETS) + _pick(rng, vowels) + _pick(rng, _CODAS)
        out.append(word + ("," if rng.random() < 0.12 else ""))
    return " ".join(out).rstrip(",") + "."
