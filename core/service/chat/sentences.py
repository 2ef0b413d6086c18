"""The sentences of an answer that is still being written, as soon as each is whole."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MAX_PENDING_CHARS = 600
"""A sentence longer than this is spoken in pieces: the text that waits stays bounded."""
_HELD_CHARS = 200
_MARK = re.compile(r"[^\w\s,'’-]|\n")
"""What may end a sentence; without one in it, text needs no look."""
_WHOLE = re.compile(r".*[\s。！？]", re.DOTALL)
"""Up to the end of a word: "e." may become "e.g."."""
_NO_MARKUP = str.maketrans("<>", "  ")


class Sentences:
    """language: BCP 47, "" where it is not known; languages that the library does not know end sentences as English does."""

    def __init__(self, language: str) -> None:
        import sentencesplit

        base = language.split("-")[0].lower()
        known = base if base in sentencesplit.list_languages() else "en"
        self._segmenter: Any = sentencesplit.StreamSegmenter(known, buffering_mode="balanced", max_buffer_size=MAX_PENDING_CHARS)
        self._held = ""

    def add(self, text: str) -> list[str]:
        """More of the answer; the sentences that it completes, without the spaces around them."""
        held = self._held + text
        whole = _WHOLE.match(held)
        if len(held) >= _HELD_CHARS:
            ready = held
        elif whole is not None and _MARK.search(whole[0]):  # a look at all that waits takes a millisecond: not for each word
            ready = whole[0]
        else:
            ready = ""
        self._held = held[len(ready) :]
        forced = self._segmenter.feed(ready) or []
        return _stripped([*self._segmenter.get_completed_sentences(), *forced])

    def end(self) -> list[str]:
        """Nothing follows: what is left."""
        self._segmenter.feed(self._held)
        return _stripped(self._segmenter.flush())


def _stripped(sentences: list[str]) -> list[str]:
    return [stripped for sentence in sentences if (stripped := sentence.strip())]


def cleaned(text: str) -> str:
    """What a model wrote, without characters that are no text."""
    return "".join(character for character in text if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs"))


def speakable(sentence: str) -> str:
    """The sentence without what could be taken for SSML; its characters stay where they are."""
    return sentence.translate(_NO_MARKUP)
