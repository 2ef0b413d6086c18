"""English words by the dictionary, and what is left to espeak-ng."""

from __future__ import annotations

import threading

import pytest

from core.speech_synthesis.espeak_library import espeak_library
from core.speech_synthesis.kokoro_letters import alphabet, letters_of, said_of
from core.speech_synthesis.pronunciations import LANGUAGES, _dictionary, _letters, look_up

LETTER = {number: letter for letter, number in alphabet().items()}


def read(text: str, language: str = "en-US") -> str:
    words = espeak_library().read(text, {"en-US": "en-us", "en-GB": "en-gb"}[language], 1.0, threading.Event()).words
    return " | ".join("".join(LETTER[number] for number in piece.numbers) for piece in letters_of(text, said_of(text, words, language)))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_dictionaries_are_in_the_alphabet(language: str) -> None:
    words = dict(line.split("\t") for line in _dictionary(language).decode().splitlines())
    assert len(words) > 80_000
    assert {letter for letters in words.values() for letter in letters} <= set(alphabet())
    assert all(_letters(word, language) == letters for word, letters in words.items()), "each line is found"
    assert not any(_letters(f"{word}x", language) for word in list(words)[::100] if f"{word}x" not in words)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Hello, I am Ada.", "həlˈO, ˈI æm ˈAdə."),
        ("the end of the road", "ði ˈɛnd ʌv ðə ɹˈOd."),
        ("To an hour, to the day.", "tʊ æn ˈWəɹ, tə ðə dˈA."),
        ("I’m here, isn't it?", "ˌIm hˈɪɹ, ˈɪzᵊnt ɪt?"),
    ],
)
def test_words_are_looked_up(text: str, letters: str) -> None:
    assert read(text) == letters


def test_british_words_are_british() -> None:
    assert read("the road", "en-GB") == "ðə ɹˈQd."


@pytest.mark.parametrize("segment", ["42 ", "zyxgard", "$5", "live ", "USA", "example.com x1", "☃", ""])
def test_what_the_dictionary_cannot_tell_is_left_to_espeak(segment: str) -> None:
    assert look_up(segment, "en-US") is None


def test_numbers_and_unknown_words_stand_among_the_others() -> None:
    assert read("42 books, Zyxgard.") == "fˈɔɹTi tˈu bˈʊks, zˈɪksɡɑɹd."
    assert read("I will read the record.") == "ˈI wɪl ɹˈid ðə ɹˈɛkəɹd."
