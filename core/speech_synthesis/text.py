"""Turns a text, plain or SSML, into what is spoken one after the other: pieces of a sentence or less, and pauses."""

from __future__ import annotations

import codecs
import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import TextError
from core.media.files import FileKind
from core.speech_synthesis import japanese
from core.speech_synthesis.spoken_forms import as_said, without_marks
from core.speech_synthesis.ssml import Passage, Pause, is_ssml, read_ssml
from core.speech_synthesis.writing import foreign_script

MAX_PIECE_CHARS = 220
"""A longer sentence is spoken in several pieces: what a piece costs in time and memory stays small."""
FIRST_PIECE_CHARS = 40
"""The first piece ends at the first pause within a longer first sentence, so that the first sound comes early."""
LONGEST_FIRST_CHARS = 80
"""Where there is no pause for so long, it ends between two words, after half of that."""
PARAGRAPH_S = 0.4
_LONGEST_TOKEN_CHARS = 60
_CLAUSE = re.compile(r"(?<=[,;:—…،؛、，；：])\s+|(?<=[、，；：])|\s+(?=[–—(])")


@dataclass(frozen=True)
class Said:
    """text: one sentence or less. rate: relative to the speed asked for."""

    text: str
    rate: float


def check_text(text: str, max_chars: int) -> None:
    """Raises TextError for a text that is empty, longer than `max_chars` characters, or has characters that are no text."""
    if len(text) > max_chars:
        raise TextError(
            f"The text has {len(text)} characters.", f"At most {max_chars} are accepted: shorten it, or make several videos.",
            code="text_too_long", parameters={"chars": len(text), "max_chars": max_chars},
        )  # fmt: skip
    for position, character in enumerate(text):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t":
            raise TextError(
                f"The text has the control character U+{ord(character):04X} at position {position + 1}.", "Remove it.",
                code="text_control_character", parameters={"character": f"U+{ord(character):04X}", "position": position + 1},
            )  # fmt: skip
    if not text.strip():
        raise TextError("The text is empty.", "Write what is to be said.", code="text_empty")


def read_text_file(path: Path, max_chars: int) -> str:
    """The text of a file in UTF-8. Raises TextError."""
    data = FileKind("text", "text", "shorten it", TextError).read(path, 4 * max_chars + len(codecs.BOM_UTF8))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"{path} is not in UTF-8 (byte {error.start + 1}).", "Save it as UTF-8 text.", code="text_encoding") from error


def read_text(text: str, language: str, max_chars: int) -> list[Said | Pause]:
    """What is to be spoken, in order, at least one `Said`.

    text: plain, or SSML where it begins with <speak. language: of the voice (BCP 47; "" for a voice that speaks several).
    Raises TextError as `check_text`, for SSML that is not understood, for a text of which nothing can be said, and for one in a script
    that the language does not have.
    """
    check_text(text, max_chars)
    passages = read_ssml(text) if is_ssml(text) else iter([Passage(text)])
    parts: list[Said | Pause] = []
    for passage in passages:
        if isinstance(passage, Pause):
            parts.append(passage)
            continue
        for number, paragraph in enumerate(re.split(r"\n\s*\n", _normal(passage.text))):
            if number and parts:
                parts.append(Pause(PARAGRAPH_S))
            for piece in _pieces(paragraph, language, first=not any(isinstance(part, Said) for part in parts)):
                parts.append(Said(piece, passage.rate))
    said = " ".join(part.text for part in parts if isinstance(part, Said))
    if not any(character.isalnum() for character in said):
        raise TextError("The text has nothing that can be said.", "Write words.", code="text_empty")
    script = foreign_script(said, language) if language else ""
    if script:
        japanese_missing = (script == "Japanese" or language == "ja") and not japanese.is_installed()
        more = " The one for Japanese comes with requirements-japanese.txt (docs/usage.md)." if japanese_missing else ""
        hint = f"Choose a voice of the text's language.{more}"
        raise TextError(
            f"The text is in {script} letters, which a voice for {language!r} cannot read.", hint,
            code="text_language", parameters={"script": script, "language": language},
        )  # fmt: skip
    return parts


def _normal(text: str) -> str:
    """Composed letters, no invisible characters, no marks for the eye; lines end in "\\n"."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00ad", ""))
    text = without_marks(text)
    return "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Co", "Cn") or c in "\u200c\u200d")


def _pieces(paragraph: str, language: str, first: bool) -> Iterator[str]:
    for sentence in _segmenter(language).segment(re.sub(r"\s+", " ", paragraph).strip()):
        sentence = as_said(sentence.strip(), language)
        if not any(character.isalnum() for character in sentence):
            continue
        for piece in _short(sentence, first):
            yield piece
            first = False


def _short(sentence: str, first: bool) -> Iterator[str]:
    """The sentence in pieces of MAX_PIECE_CHARS at most, cut at a pause, else between words, else anywhere."""
    limit = FIRST_PIECE_CHARS if first else MAX_PIECE_CHARS
    clauses = _CLAUSE.split(sentence)
    if first and len(clauses[0]) > LONGEST_FIRST_CHARS:
        end = clauses[0].find(" ", LONGEST_FIRST_CHARS // 2)
        if 0 < end < LONGEST_FIRST_CHARS:
            yield clauses[0][:end]
            clauses[0], limit = clauses[0][end + 1 :], MAX_PIECE_CHARS
    piece = ""
    for clause in clauses:
        joined = f"{piece} {clause}" if piece else clause
        if piece and len(joined) > limit:
            yield from _cut(piece)
            piece, limit = clause, MAX_PIECE_CHARS
        else:
            piece = joined
    yield from _cut(piece)


def _cut(piece: str) -> Iterator[str]:
    line = ""
    for word in piece.split(" "):
        parts = [word[at : at + _LONGEST_TOKEN_CHARS] for at in range(0, len(word), _LONGEST_TOKEN_CHARS)]
        for part in parts:
            joined = f"{line} {part}" if line else part
            if len(joined) > MAX_PIECE_CHARS:
                yield line
                line = part
            else:
                line = joined
    if line:
        yield line


@functools.cache
def _segmenter(language: str) -> Any:
    """Sentences of languages that the library does not know end as in English."""
    import sentencesplit

    base = language.split("-")[0].lower()
    known = sentencesplit.list_languages()
    return sentencesplit.Segmenter(language=base if base in known else "en", clean=False)
