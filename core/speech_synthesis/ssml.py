"""Reads the part of SSML that is understood: speak, p, s, break, and the rate of prosody (https://www.w3.org/TR/speech-synthesis11/)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from core.errors import TextError

MAX_BREAK_S = 10.0
MAX_DEPTH = 16
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_STRENGTHS_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.0}
_TIME = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)")
_NUMBER = re.compile(r"([+-]?)(\d{1,4}(?:\.\d{1,6})?)(%?)")
_ATTRIBUTES = {"speak": {"version", "xml:lang", "xmlns"}, "p": set(), "s": set(), "break": {"time", "strength"}, "prosody": {"rate"}}


@dataclass(frozen=True)
class Passage:
    """Text read at `rate`, relative to usual."""

    text: str
    rate: float = 1.0


@dataclass(frozen=True)
class Pause:
    seconds: float


def is_ssml(text: str) -> bool:
    return re.match(r"\s*(<\?xml\b|<speak[\s>/])", text) is not None


def read_ssml(text: str) -> Iterator[Passage | Pause]:
    """Raises TextError (code ssml_invalid) for anything else than the elements and attributes named above."""
    return iter(_Reader().read(text))


class _Reader:
    def __init__(self) -> None:
        self._found: list[Passage | Pause] = []
        self._rates = [1.0]
        self._open: list[str] = []
        self._written: list[str] = []

    def read(self, text: str) -> list[Passage | Pause]:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._written.append
        parser.StartDoctypeDeclHandler = _refuse_doctype  # entities are declared there, and nothing else here needs one
        try:
            parser.Parse(text.strip(), True)
        except expat.ExpatError as error:
            line, column = error.lineno, error.offset + 1
            raise _invalid(f"The SSML cannot be read: {expat.ErrorString(error.code)} (line {line}, column {column}).") from error
        self._finish()
        return self._found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        known = _ATTRIBUTES.get(name)
        if known is None:
            raise _invalid(f"The SSML has the element <{name[:50]}>, which is not understood.")
        for attribute in attributes:
            if attribute not in known:
                raise _invalid(f"The SSML gives <{name}> the attribute {attribute[:50]!r}, which is not understood.")
        if (name == "speak") != (not self._open) or len(self._open) >= MAX_DEPTH:
            raise _invalid("The SSML's <speak> must stand around everything, once, and elements may not be nested deeply.")
        self._finish()
        self._open.append(name)
        if name == "prosody":
            self._rates.append(self._rates[-1] * _rate(attributes.get("rate", "medium")))
        elif name == "break":
            self._found.append(Pause(_break_s(attributes)))

    def _end(self, name: str) -> None:
        self._finish()
        self._open.pop()
        if name == "prosody":
            self._rates.pop()

    def _finish(self) -> None:
        text = "".join(self._written)
        self._written.clear()
        if text.strip():
            self._found.append(Passage(text, self._rates[-1]))


def _refuse_doctype(*_: Any) -> None:
    raise _invalid("The SSML declares a document type.")


def _rate(value: str) -> float:
    """Of "slow", "80%", "+10%" or "1.2"."""
    if value in _RATES:
        return _RATES[value]
    found = _NUMBER.fullmatch(value)
    rate = 0.0
    if found is not None:
        sign, number, percent = found[1], float(found[2]), found[3]
        rate = number / 100 if percent else number
        if sign and percent:
            rate = 1 + rate if sign == "+" else 1 - rate
        elif sign == "-":
            rate = 0.0
    if not 0.25 <= rate <= 4:
        raise _invalid(f"The SSML's rate is {value[:50]!r}; it must be from 25% to 400%, or {', '.join(_RATES)}.")
    return rate


def _break_s(attributes: dict[str, str]) -> float:
    time, strength = attributes.get("time"), attributes.get("strength", "medium")
    if strength not in _STRENGTHS_S:
        raise _invalid(f"The SSML's break has the strength {strength[:50]!r}; it must be one of {', '.join(_STRENGTHS_S)}.")
    if time is None:
        return _STRENGTHS_S[strength]
    found = _TIME.fullmatch(time)
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else -1.0
    if not 0 <= seconds <= MAX_BREAK_S:
        raise _invalid(f'The SSML\'s break is {time[:50]!r}; it must be like "500ms" or "1.5s", and {MAX_BREAK_S:g} s at most.')
    return seconds


def _invalid(message: str) -> TextError:
    hint = "See docs/usage.md for what is understood, or give plain text."
    return TextError(message, hint, code="ssml_invalid", parameters={"problem": message})
