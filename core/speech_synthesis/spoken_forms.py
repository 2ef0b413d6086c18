"""Rewrites what is written for the eye (links, emoji, Markdown, abbreviations, dates, money, units) as it is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff\ufe0f\u200d\u20e3\U000e0020-\U000e007f]+")
_LINK = re.compile(r"!?\[([^\]\n]{0,500})\]\([^)\s]{1,2000}\)")
_URL = re.compile(r"\bhttps?://(?:www\.)?([^\s/?#:\"<>()]{1,253})[^\s\"<>]*?(?=[.,;:!?)]*(?:\s|$|[\"<>]))", re.IGNORECASE)
_LINE = re.compile(r"(?m)^[ \t]{0,6}(?:#{1,6}|[-*+•>])[ \t]+(.*)$")
_MARKUP = re.compile(r"[*_~`]{2,}|(?<!\w)[*_~`]|[*_~`](?!\w)|[|]")
_ENDS = tuple(".,;:!?…。！？।") + ("",)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_LATIN_NUMBER = r"\d{1,3}(?:,\d{3})+|\d+"
_DOLLARS = re.compile(rf"([$€£])\s?({_LATIN_NUMBER})(?:\.(\d{{2}}))?(?![\d.]*\d)")
_EUROS = re.compile(r"(\d{1,3}(?:\.\d{3})+|\d+)(?:,(\d{2}))?\s?([€$£])")
_GERMAN_TIME = re.compile(r"\b(\d{1,2}):(\d{2})\s+Uhr\b")


@dataclass(frozen=True)
class _Language:
    """words: what an abbreviation stands for. units: of what follows a number, singular and plural. months: by number."""

    words: dict[str, str]
    units: dict[str, tuple[str, str]]
    months: tuple[str, ...]
    date: Callable[[int, str, int], str]


_ENGLISH = _Language(
    words={
        "Mr.": "Mister", "Mrs.": "Missus", "Dr.": "Doctor", "Prof.": "Professor", "e.g.": "for example",
        "i.e.": "that is", "etc.": "et cetera", "vs.": "versus", "approx.": "approximately",
        "a.k.a.": "also known as", "w/o": "without", "&": "and",
    },
    units={
        "km": ("kilometre", "kilometres"), "cm": ("centimetre", "centimetres"), "mm": ("millimetre", "millimetres"),
        "kg": ("kilogram", "kilograms"), "km/h": ("kilometre per hour", "kilometres per hour"), "mph": ("mile per hour", "miles per hour"),
        "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
        "ms": ("millisecond", "milliseconds"), "GB": ("gigabyte", "gigabytes"), "MB": ("megabyte", "megabytes"),
    },
    months=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ),
    date=lambda day, month, year: f"{month} {day}, {year}",
)  # fmt: skip
_GERMAN = _Language(
    words={
        "z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt", "u. a.": "unter anderem",
        "u.a.": "unter anderem", "usw.": "und so weiter", "ca.": "circa", "bzw.": "beziehungsweise", "evtl.": "eventuell", "Nr.": "Nummer",
        "Dr.": "Doktor", "Prof.": "Professor", "Str.": "Straße", "&": "und",
    },
    units={
        "km": ("Kilometer", "Kilometer"), "cm": ("Zentimeter", "Zentimeter"), "mm": ("Millimeter", "Millimeter"),
        "kg": ("Kilogramm", "Kilogramm"), "km/h": ("Kilometer pro Stunde", "Kilometer pro Stunde"), "°C": ("Grad Celsius", "Grad Celsius"),
        "GB": ("Gigabyte", "Gigabyte"), "MB": ("Megabyte", "Megabyte"),
    },
    months=("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"),
    date=lambda day, month, year: f"{day}. {month} {year}",
)  # fmt: skip
_LANGUAGES = {"en": _ENGLISH, "de": _GERMAN}
_MONEY = {
    "en": {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds")},
    "de": {"$": ("Dollar", "Dollar"), "€": ("Euro", "Euro"), "£": ("Pfund", "Pfund")},
}


def without_marks(text: str) -> str:
    """Markdown's marks and emoji are left out, a heading or list item is a paragraph, a link is its text, a web address only its host."""
    text = _LINK.sub(lambda found: found[1], text)
    text = _URL.sub(lambda found: found[1], text)
    text = _EMOJI.sub(" ", text)
    text = _LINE.sub(lambda found: f"\n\n{found[1].rstrip()}{'' if found[1].rstrip()[-1:] in _ENDS else '.'}\n\n", text)
    return _MARKUP.sub("", text)


def as_said(sentence: str, language: str) -> str:
    """Abbreviations, dates, money and units of English and German in words; synthesisers read numbers by themselves.

    language: BCP 47. Other languages come back as they are.
    """
    base = language.split("-")[0].lower()
    table = _LANGUAGES.get(base)
    if table is None:
        return sentence
    sentence = _ISO_DATE.sub(lambda found: _date(table, found), sentence)
    money = _MONEY[base]
    sentence = _DOLLARS.sub(lambda found: _money(money[found[1]], found[2], found[3]), sentence)
    if base == "de":
        sentence = _EUROS.sub(lambda found: _money(money[found[3]], found[1], found[2]), sentence)
        sentence = _GERMAN_TIME.sub(lambda found: f"{int(found[1])} Uhr" + (f" {int(found[2])}" if int(found[2]) else ""), sentence)
    sentence = _pattern(table.units, r"(\b\d[\d.,]*)\s?(", r")(?!\w)").sub(
        lambda found: f"{found[1]} {table.units[found[2]][found[1] != '1']}", sentence
    )
    return _pattern(table.words, r"(?<![\w.])(", r")(?![\w.])").sub(lambda found: _word(table.words[found[1]], found), sentence)


def _word(said: str, found: re.Match[str]) -> str:
    """The full stop of an abbreviation at the end ends the sentence too."""
    return said + ("." if found[1].endswith(".") and not found.string[found.end() :].strip() else "")


def _pattern(names: dict[str, object] | dict[str, str] | dict[str, tuple[str, str]], before: str, after: str) -> re.Pattern[str]:
    return re.compile(before + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + after)


def _date(table: _Language, found: re.Match[str]) -> str:
    year, month, day = (int(part) for part in found.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found[0]
    return table.date(day, table.months[month - 1], year)


def _money(name: tuple[str, str], whole: str, hundredths: str | None) -> str:
    """Like "3 dollars 50": a number that a synthesiser would read as decimals otherwise."""
    rest = f" {int(hundredths)}" if hundredths and int(hundredths) else ""
    return f"{whole} {name[whole != '1']}{rest}"
