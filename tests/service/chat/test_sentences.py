"""Sentences of an answer that is still being written: as soon as each is whole, and the same however the answer is cut."""

from __future__ import annotations

import pytest

from core.service.chat.sentences import MAX_PENDING_CHARS, Sentences, cleaned, speakable

ENGLISH = "Hello there. I am Dr. Smith, e.g. a doctor! It costs 3.5 euros.\n\nIs that all? Yes"
ENGLISH_SENTENCES = ["Hello there.", "I am Dr. Smith, e.g. a doctor!", "It costs 3.5 euros.", "Is that all?", "Yes"]
GERMAN = "Guten Tag, Frau Dr. Meier. Am 3. Mai, d. h. morgen, kommt er. Gut."
GERMAN_SENTENCES = ["Guten Tag, Frau Dr. Meier.", "Am 3. Mai, d. h. morgen, kommt er.", "Gut."]


@pytest.mark.parametrize("step", [1, 4, 11, 1000])
@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en-GB", ENGLISH, ENGLISH_SENTENCES),
        ("", ENGLISH, ENGLISH_SENTENCES),
        ("de", GERMAN, GERMAN_SENTENCES),
        ("ja", "私はアダです。元気ですか？はい。", ["私はアダです。", "元気ですか？", "はい。"]),
    ],
)
def test_sentences_are_the_same_however_the_answer_is_cut(language: str, text: str, expected: list[str], step: int) -> None:
    sentences = Sentences(language)
    found = [sentence for at in range(0, len(text), step) for sentence in sentences.add(text[at : at + step])]
    assert [*found, *sentences.end()] == expected


def test_a_sentence_is_there_with_the_space_after_it() -> None:
    sentences = Sentences("en-US")
    assert [sentences.add(f"{word} ") for word in ("I", "am", "Ada.", "And", "you")] == [[], [], ["I am Ada."], [], []]
    assert sentences.end() == ["And you"]


def test_what_never_ends_is_given_out_in_pieces() -> None:
    sentences = Sentences("en-US")
    found = [sentence for _ in range(1000) for sentence in sentences.add("word ")]
    assert found
    assert max(map(len, found)) <= MAX_PENDING_CHARS + 210
    assert sum(sentence.count("word") for sentence in [*found, *sentences.end()]) == 1000


def test_what_is_no_text_is_left_out_and_markup_is_not_said() -> None:
    assert cleaned("a\x00b\ud800c\n\td\r") == "abc\n\td"
    assert speakable("<speak>Hello</speak>") == " speak Hello /speak "
