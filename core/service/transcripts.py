"""Gives a recording the times of the words and phones of a transcript that comes with it."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Sequence

from core.errors import EngineUnavailable, OptionError
from core.notices import notice
from core.speech_recognition import sphinx
from core.speech_recognition.alignment import align
from core.speech_recognition.arpabet import pronunciation
from core.speech_synthesis.espeak_library import espeak_library
from core.types import Audio

NAMED = 5
"""Unknown words that an error names."""


def check_transcript(of_text: bool = False) -> None:
    """Raises OptionError where no transcript can be aligned. of_text: a text is spoken, which says itself what is said."""
    if of_text:
        raise OptionError("A transcript and a text are given.", "A transcript is a recording's.", code="transcript_and_text")
    if not sphinx.is_installed():
        raise OptionError(
            "A transcript needs PocketSphinx, and it is not installed here.",
            "Run pip install -r requirements-recognition.txt, or leave the transcript out (docs/usage.md).",
            code="transcript_no_recogniser",
        )  # fmt: skip


def with_transcript(audio: Audio, transcript: str, cancel: threading.Event) -> Audio:
    """The recording with words and phones; with a warning and without them where the transcript is not what is said in it.

    Waits for the alignment, by a process of its own. Raises OptionError, Cancelled, EngineUnavailable.
    """
    check_transcript()
    found = align(audio.samples, transcript, lambda words: _pronounced(words, cancel), cancel)
    if found.unknown:
        named = ", ".join(word[:40] for word in found.unknown[:NAMED])
        raise OptionError(
            f"The pronunciation of these words of the transcript is not known: {named}.",
            "Write them as they are spoken, or run ./setup.sh speech, which brings espeak-ng (docs/usage.md).",
            code="transcript_unknown_words", parameters={"words": named},
        )  # fmt: skip
    if not found.phones:
        return dataclasses.replace(audio, warnings=(*audio.warnings, notice("transcript_unlike")))
    return dataclasses.replace(audio, words=found.words, phones=found.phones)


def _pronounced(words: Sequence[str], cancel: threading.Event) -> dict[str, str]:
    """By espeak-ng, numbers and abbreviations, too; nothing where it is not installed."""
    with contextlib.suppress(EngineUnavailable):
        library = espeak_library()
        read = {word: library.read(word, "en-us", 1.0, cancel).words for word in words}
        return {word: pronunciation(phone for each in said for phone in each.phones) for word, said in read.items()}
    return {}
