"""The phones of PocketSphinx's American English, in IPA and back."""

from __future__ import annotations

from collections.abc import Iterable

IPA = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ",
    "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w",
    "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""What is not among them is silence or a noise."""
_ALSO = {
    "a": "AA", "ɐ": "AH", "ə": "AH", "ɚ": "ER", "ɜ": "ER", "e": "EH", "o": "OW", "ɒ": "AA", "əʊ": "OW", "əl": "AH L", "ᵻ": "IH", "ɨ": "IH",
    "g": "G", "r": "R", "ɾ": "D", "ʔ": "T", "x": "K", "ç": "HH", "n̩": "AH N", "l̩": "AH L", "m̩": "AH M", "ʲ": "Y", "ɬ": "L", "y": "UW",
    "ø": "ER", "œ": "ER",
}  # fmt: skip
"""More of espeak-ng's phones, as an American would say them."""
_FROM_IPA = {ipa: name for name, ipa in IPA.items()} | _ALSO
_LONGEST = max(map(len, _FROM_IPA))


def pronunciation(phones: Iterable[str]) -> str:
    """The names of the phones, "HH AH L OW", of a word in IPA; what has none is left out."""
    names: list[str] = []
    for phone in phones:
        rest = phone.translate({ord(mark): None for mark in "ˈˌː͡\u200d"})
        while rest:
            n = next((n for n in range(_LONGEST, 0, -1) if rest[:n] in _FROM_IPA), 1)
            names += _FROM_IPA.get(rest[:n], "").split()
            rest = rest[n:]
    return " ".join(names)
