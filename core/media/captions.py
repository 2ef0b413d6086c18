"""Captions from the times of words, as WebVTT (https://www.w3.org/TR/webvtt1/) or SubRip."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile

from core.types import Word

MAX_LINE_CHARS = 42
MAX_LINES = 2
MAX_GAP_S = 0.8
"""A longer silence ends a caption."""
LINGER_S = 0.4
"""A caption stays this much longer than its last word, unless the next one comes."""
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।")


_UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


@dataclass(frozen=True)
class Caption:
    """lines: one or two. 0 <= start_s < end_s."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def short_enough(line: str) -> bool:
    """Letters of Chinese, Japanese and Korean are twice as wide as others."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line) <= MAX_LINE_CHARS


def captions(words: Sequence[Word], fits: Callable[[str], bool] = short_enough, total_s: float = math.inf) -> list[Caption]:
    """Captions in order that do not overlap: sentence by sentence, each of MAX_LINES lines that fit where words allow it.

    total_s: length of the recording, where the last one ends at the latest; words that a recogniser puts behind it have none.
    """
    groups = list(_groups([word for word in words if word.start_s < total_s - 0.001], fits))
    starts = [*(group[0].start_s for group in groups), total_s][1:]
    return [
        Caption(group[0].start_s, max(min(group[-1].end_s + LINGER_S, following), group[0].start_s + 0.001), tuple(_lines(group, fits)))
        for group, following in zip(groups, starts, strict=True)
    ]


def broken(words: Iterable[Word], fits: Callable[[str], bool]) -> list[Word]:
    """The same with every word that does not fit a line (as where a language writes no blanks) in parts that do, each with its share of
    the word's time by its length.
    """
    parts: list[Word] = []
    for word in words:
        text, start_s, second_each = word.text, word.start_s, (word.end_s - word.start_s) / max(1, len(word.text))
        while len(text) > 1 and not fits(text):
            n = max(1, sum(1 for _ in takewhile(fits, accumulate(text))))
            parts.append(Word(text[:n], start_s, start_s + n * second_each))
            text, start_s = text[n:], start_s + n * second_each
        parts.append(replace(word, text=text, start_s=start_s))
    return parts


def webvtt(shown: Iterable[Caption], settings: str = "") -> str:
    """settings: of WebVTT for each caption, such as "line:-3"; "" leaves it to the player where they stand."""
    end = f" {settings}\n" if settings else "\n"
    parts = (f"{_time(each.start_s, '.')} --> {_time(each.end_s, '.')}{end}{_escaped(each.lines)}\n" for each in shown)
    return "WEBVTT\n\n" + "\n".join(parts)


def subrip(shown: Iterable[Caption]) -> str:
    parts = (
        f"{number}\n{_time(each.start_s, ',')} --> {_time(each.end_s, ',')}\n" + "\n".join(each.lines) + "\n"
        for number, each in enumerate(shown, 1)
    )
    return "\n".join(parts)


def _groups(words: Sequence[Word], fits: Callable[[str], bool]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and (
            group[-1].ends_piece
            or word.start_s - group[-1].end_s > MAX_GAP_S
            or group[-1].text.rstrip("\"'”’»)").endswith(_SENTENCE_ENDS)
            or len(_lines([*group, word], fits)) > MAX_LINES
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _lines(group: Sequence[Word], fits: Callable[[str], bool]) -> list[str]:
    lines: list[str] = []
    for word in group:
        if lines and fits(longer := f"{lines[-1]}{_between(lines[-1], word.text)}{word.text}"):
            lines[-1] = longer
        else:
            lines.append(word.text)
    return lines


def _between(line: str, word: str) -> str:
    """A blank, but where both are written without."""
    return "" if _UNSPACED.match(line[-1:]) and _UNSPACED.match(word[:1]) else " "


def _time(seconds: float, point: str) -> str:
    total_ms = round(seconds * 1000)
    minutes, ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _escaped(lines: Iterable[str]) -> str:
    """What WebVTT would take for tags, or for the line of times."""
    return "\n".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines)
