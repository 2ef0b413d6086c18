"""One text that a live session speaks: which of its words fall on which of its sound, and how far it has been spoken."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

CHARS_A_SECOND = 16.0
"""Of speech whose length is not known yet, about."""
_WORD = re.compile(r"\S+")
_SLACK_CHARS = 2
"""What is said is a little longer or shorter than what is written: a word that ends so close is taken for spoken."""


@dataclass
class _Part:
    """A sentence or less. start, end: of its sound so far, in samples of the track. before: characters said before it. words: (where a
    word ends in the track, characters of `text` up to there); none where the synthesiser does not know. least: samples that it is likely
    to have while its end is not known.
    """

    start: int
    end: int
    before: int
    text: str
    words: Sequence[tuple[int, int]]
    least: int

    def spans(self) -> Iterator[tuple[int, int, str]]:
        """Of each word: where it begins and ends in the track, and its text. A mark without more characters says where the next begins."""
        at, done = self.start, 0
        for position, chars in self.words:
            if chars > done:
                yield at, position, self.text[done:chars].strip()
            at, done = position, chars

    def spoken(self, position: int) -> int:
        """Characters said up to `position`."""
        if self.words:
            return self.before + max((chars for at, chars in self.words if at <= position), default=0)
        length = max(1, self.end - self.start, self.least)
        return self.before + min(len(self.text), len(self.text) * (position - self.start) // length)


@dataclass(eq=False)
class Say:
    """id: by which whoever asked for it is told of it. text: what is to be said, as it is written. n_said: characters of the same as it is
    spoken ("2" is "two"): what is known of the second is told of the first in proportion.

    cancelled: set where nothing (more) of it is wanted; who feeds it stops. failed: not all of it could be synthesised. on_end: called once
    with the `report`, on_sound: with the first of its sound, both in the session's lock. Everything else is used with that lock held;
    positions are in samples of the session's track.
    """

    id: str
    text: str
    n_said: int
    cancelled: threading.Event = field(default_factory=threading.Event)
    failed: bool = False
    on_end: Callable[[dict[str, Any]], None] = lambda report: None
    on_sound: Callable[[], None] = lambda: None
    _parts: list[_Part] = field(default_factory=list)
    _told: int = 0
    _spans: deque[tuple[int, int, str]] = field(default_factory=deque)

    def put(self, start: int, n: int, rate_hz: int, text: str, words: Sequence[tuple[float, int]]) -> None:
        """A piece of its sound, n samples, joins the track at `start`. text: what is said in it; "" for a pause, or for more sound of the
        piece before. words: (seconds from its start to the end of a word, characters of `text` up to there); one without more
        characters than the one before: where the next word begins.
        """
        if text:
            before = 0
            if not self._parts:
                self.on_sound()
            else:
                self._parts[-1].least = 0
                before = self._parts[-1].before + len(self._parts[-1].text) + 1
            marks = [(start + round(end_s * rate_hz), chars) for end_s, chars in words]
            self._parts.append(_Part(start, start + n, before, text, marks, int(len(text) / CHARS_A_SECOND * rate_hz)))
            self._spans.extend(self._parts[-1].spans())
        elif self._parts:
            self._parts[-1].end = start + n

    def begun(self, position: int) -> Iterator[dict[str, Any]]:
        """Of the pieces that begin before `position`, those that were not told yet."""
        while self._told < len(self._parts) and self._parts[self._told].start < position:
            part = self._parts[self._told]
            self._told += 1
            yield {"id": self.id, "text": part.text, "chars": self._written(part.before)}

    def words_begun(self, position: int) -> Iterator[tuple[int, int, str]]:
        """Of the words that begin before `position`, those that were not told yet: begin and end in the track, text."""
        while self._spans and self._spans[0][0] < position:
            yield self._spans.popleft()

    def report(self, position: int, complete: bool) -> dict[str, Any]:
        """What was spoken of it, at its end. complete: all of it."""
        said = max((part.spoken(position) for part in self._parts if part.start < position), default=0)
        chars = len(self.text) if complete else self._written(said)
        report = {"id": self.id, "text": self.text[:chars], "chars": chars, "complete": complete}
        self.on_end(report)
        return report

    def _written(self, said: int) -> int:
        """Characters of the text, to the end of a word, that stand for the first `said` ones of what is spoken."""
        if said <= 0:
            return 0
        reached = said * len(self.text) / max(1, self.n_said) + _SLACK_CHARS
        return max((word.end() for word in _WORD.finditer(self.text) if word.end() <= reached), default=0)
