"""Gives the words of a text, as they are written, the times at which a synthesiser says them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from core.types import Word


def word_times(text: str, heard: Iterable[tuple[int, float, float]]) -> tuple[Word, ...]:
    """Every word between blanks, in order.

    heard: (character at which it begins in the text, start_s, end_s) of what is said, in order; several of them may be one written word
    ("42"), and a word that is not among them ("am" of "I am") shares the time of the one before by their lengths.
    """
    tokens = [(found.start(), found.end(), found[0]) for found in re.finditer(r"\S+", text)]
    times: list[tuple[float, float] | None] = [None] * len(tokens)
    index = 0
    for at, start_s, end_s in heard:
        while index + 1 < len(tokens) and tokens[index + 1][0] <= at:
            index += 1
        if index < len(tokens):
            known = times[index]
            times[index] = (known[0] if known else start_s, end_s)
    words: list[Word] = []
    index = 0
    while index < len(tokens):
        group = index + 1
        while group < len(tokens) and times[group] is None:
            group += 1
        start_s, end_s = times[index] or next((known for known in times[index:] if known), (0.0, 0.0))
        if times[index] is None:  # nothing is said before the first word heard
            end_s = start_s
        total = sum(len(token) for _, _, token in tokens[index:group])
        done = 0
        for _, _, token in tokens[index:group]:
            begin = start_s + (end_s - start_s) * done / total
            done += len(token)
            words.append(Word(token, begin, start_s + (end_s - start_s) * done / total if done < total else end_s))
        index = group
    return tuple(words)


def phrase_times(text: str, heard: Sequence[tuple[int, float, float]]) -> tuple[Word, ...]:
    """The same of a text that has no blanks between words: what is heard as one is one."""
    ends = [*(at for at, _, _ in heard[1:]), len(text)]
    cuts = zip([0, *ends[:-1]], ends, heard, strict=True) if heard else ()
    return tuple(Word(text[start:end].strip(), start_s, end_s) for start, end, (_, start_s, end_s) in cuts)
