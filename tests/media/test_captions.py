"""Captions from the times of words."""

from __future__ import annotations

import pytest

from core.media.captions import MAX_LINE_CHARS, MAX_LINES, Caption, captions, subrip, webvtt
from core.types import Word


def spoken(text: str, word_s: float = 0.25) -> list[Word]:
    return [Word(word, index * word_s, (index + 1) * word_s) for index, word in enumerate(text.split())]


def test_sentences_are_captions_of_their_own() -> None:
    shown = captions(spoken('He said "no." Then 3.5 left!'))
    assert [each.lines for each in shown] == [('He said "no."',), ("Then 3.5 left!",)]
    assert [(each.start_s, each.end_s) for each in shown] == [(0.0, 0.75), (0.75, pytest.approx(1.9))]


def test_a_long_sentence_is_cut_into_captions_of_two_lines_that_lose_no_word() -> None:
    words = spoken("word " * 40 + "W" * 60)
    shown = captions(words)
    assert " ".join(" ".join(each.lines) for each in shown).split() == [word.text for word in words]
    assert all(len(each.lines) <= MAX_LINES for each in shown)
    assert max(len(line) for each in shown for line in each.lines if "W" not in line) <= MAX_LINE_CHARS
    assert all(one.end_s <= other.start_s for one, other in zip(shown, shown[1:], strict=False))


def test_a_silence_ends_a_caption() -> None:
    shown = captions([Word("so", 0.0, 0.5), Word("then", 2.0, 2.5)])
    assert shown == [Caption(0.0, 0.9, ("so",)), Caption(2.0, 2.9, ("then",))]


def test_the_two_formats() -> None:
    shown = [Caption(0.0, 1.5, ("a < b", "& c --> d")), Caption(3661.0004, 3662.9996, ("e",))]
    assert webvtt(shown) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\na &lt; b\n&amp; c --&gt; d\n\n01:01:01.000 --> 01:01:03.000\ne\n"
    )  # fmt: skip
    assert subrip(shown) == "1\n00:00:00,000 --> 00:00:01,500\na < b\n& c --> d\n\n2\n01:01:01,000 --> 01:01:03,000\ne\n"
    assert captions([]) == []


def test_none_is_shown_longer_than_its_video() -> None:
    words = [Word("One.", 0.1, 0.5), Word("Two.", 1.0, 1.4), Word("Behind.", 2.2, 2.6)]
    shown = captions(words, total_s=1.5)
    assert [(each.lines, each.end_s) for each in shown] == [(("One.",), 0.9), (("Two.",), 1.5)]
    assert captions([Word("Long.", 0.2, 9.0)], total_s=1.5)[0].end_s == 1.5
