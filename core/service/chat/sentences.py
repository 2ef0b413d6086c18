"""The sentences of an answer that is still being written, as soon as each is whole."""

from __future__ import annotations

import unicodedata
from typing import Any

MAX_PENDING_CHARS = 600
"""A sentence longer than this is spoken in pieces: the text that waits stays bounded."""
_NO_MARKUP = str.maketrans("<>", "  ")


class Sentences:
    """language: BCP 47, "" where it is not known; languages that the library does not know end sentences as English does."""

    def __init__(self, language: str) -> None:
        import sentencesplit

        base = language.split("-")[0].lower()
        known = base if base in sentencesplit.list_languages() else "en"
        self._segmenter: Any = sentencesplit.StreamSegmenter(known, buffering_mode="balanced", max_buffer_size=MAX_PENDING_CHARS)

    def add(self, text: str) -> list[str]:
        """More of the answer; the sentences that it completes, without the spaces around them."""
        forced = self._segmenter.feed(text) or []
        return _stripped([*self._segmenter.get_completed_sentences(), *forced])

    def end(self) -> list[str]:
        """Nothing follows: what is left."""
        return _stripped(self._segmenter.flush())


def _stripped(sentences: list[str]) -> list[str]:
    return [stripped for sentence in sentences if (stripped := sentence.strip())]


def cleaned(text: str) -> str:
    """What a model wrote, without characters that are no text."""
    return "".join(character for character in text if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs"))


def speakable(sentence: str) -> str:
    """The sentence without what could be taken for SSML; its characters stay where they are."""
    return sentence.translate(_NO_MARKUP)
