"""The names of visemes, those of Oculus' lip sync (15) and of Azure's speech service (0 to 21), and the visemes of every phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from core.lite.phones import symbols

OCULUS = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
SILENCE = "sil"


class Viseme(NamedTuple):
    """oculus: a name of OCULUS. azure: a number of Azure's, 0 to 21."""

    oculus: str
    azure: int


def _rows(oculus: str, azure: int, phones: str) -> dict[str, Viseme]:
    return {phone: Viseme(oculus, azure) for phone in phones.split()}


PHONES: dict[str, Viseme] = {
    **_rows("sil", 0, "_"),
    **_rows("PP", 21, "p ɸ b ɓ ʙ m β"),
    **_rows("FF", 18, "f v ɱ ⱱ ʋ"),
    **_rows("TH", 19, "θ"),
    **_rows("TH", 17, "ð"),
    **_rows("DD", 19, "t ʈ c d ɖ ɟ ɗ ʄ"),
    **_rows("nn", 19, "n ɳ ɲ"),
    **_rows("nn", 20, "ŋ ɴ"),
    **_rows("nn", 14, "l ɭ ʎ ʟ ɬ ɮ ɫ ɺ"),
    **_rows("kk", 20, "k q x χ ɡ g ɢ ɠ ʛ ɣ ʁ ɰ ʔ ʡ"),
    **_rows("kk", 12, "h ɦ ħ ʕ ʜ ʢ"),
    **_rows("CH", 16, "ʃ ʒ ɧ ʂ ʐ ɕ ʑ ç ʝ"),
    **_rows("SS", 15, "s z"),
    **_rows("RR", 13, "ɹ ɻ r ɾ ɽ ʀ"),
    **_rows("RR", 5, "ɝ ɚ"),
    **_rows("aa", 2, "a ɑ ɐ ä ɒ"),
    **_rows("aa", 1, "ʌ æ"),
    **_rows("E", 4, "ɛ e"),
    **_rows("E", 1, "ə ɘ ɤ"),
    **_rows("E", 5, "ɜ ɞ"),
    **_rows("I", 6, "ɪ i j ɨ ɯ"),
    **_rows("O", 3, "ɔ œ ɶ"),
    **_rows("O", 8, "o ø ɵ"),
    **_rows("U", 4, "ʊ"),
    **_rows("U", 7, "u w ʍ ɥ ʉ y ʏ"),
}
"""By the symbols of `core.lite.phones.TABLE`. Sounds of the throat have the viseme of the back of the tongue: lips show neither."""

DIPHTHONGS = {"aʊ": 9, "ɔɪ": 10, "aɪ": 11}
"""Those that have a number of Azure's of their own."""

OF_SOUND = {
    "sil": 0, "PP": 21, "FF": 18, "DD": 19, "CH": 16, "SS": 15, "aa": 2, "E": 4, "I": 6, "O": 8, "U": 7,
}  # fmt: skip
"""Azure's number of the visemes that are told from sound alone. TH, kk, nn and RR look on lips as DD or CH do; only phones tell them."""


def visemes_of(phone: str) -> Iterator[Viseme]:
    """Of one phone in IPA, one after the other: "aɪ" → aa, I. An unknown one counts as `core.lite.phones.symbols` takes it."""
    plain = "".join(parts := symbols(phone))
    for part in parts:
        yield Viseme(PHONES[part].oculus, DIPHTHONGS.get(plain, PHONES[part].azure))
