"""Reads Japanese with Open JTalk (the package pyopenjtalk-plus): each phrase of a text in Kokoro's alphabet, and where it stands.

The letters are those that the network was trained with (https://github.com/hexgrad/misaki); nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from typing import Any

from core.errors import EngineUnavailable

_VOWELS = "aiueo"
_CONSONANTS = {
    "k": "k", "ky": "kʲ", "kw": "kβ", "g": "ɡ", "gy": "ɡʲ", "gw": "ɡβ", "s": "s", "sh": "ɕ", "z": "z", "j": "ʥ", "t": "t", "ty": "tʲ",
    "ch": "ʨ", "ts": "ʦ", "d": "d", "dy": "dʲ", "n": "n", "ny": "ɲ", "h": "h", "hy": "ç", "f": "ɸ", "b": "b", "by": "bʲ", "p": "p",
    "py": "pʲ", "m": "m", "my": "mʲ", "y": "j", "r": "ɾ", "ry": "ɾʲ", "w": "β", "v": "v",
}  # fmt: skip
_BEFORE_I = {"k": "kʲ", "g": "ɡʲ", "n": "ɲ", "h": "ç", "b": "bʲ", "p": "pʲ", "m": "mʲ", "r": "ɾʲ"}
_FRONTED_U = {"s", "z", "ts", "sh", "j", "ch"}
_NASALS = {**dict.fromkeys("pbm", "m"), **dict.fromkeys("kg", "ŋ"), **dict.fromkeys(("t", "d", "n", "r", "z"), "n"), "c": "ɲ", "j": "ɲ"}
"""How the syllabic nasal sounds, by what follows."""
_PAUSES = {"。": ".", "．": ".", "？": "?", "！": "!", "…": "…", "：": ":", "；": ";"}
_lock = threading.Lock()
"""The library's dictionary has one state."""


def is_installed() -> bool:
    return importlib.util.find_spec("pyopenjtalk") is not None


def check_installed() -> None:
    """Raises EngineUnavailable."""
    if not is_installed():
        raise EngineUnavailable(
            "The package pyopenjtalk-plus, which Japanese is read with, is not installed.",
            "Run pip install -r requirements-japanese.txt (docs/usage.md).", code="speech_not_installed",
            parameters={"package": "pyopenjtalk-plus"},
        )  # fmt: skip


def said(text: str) -> list[tuple[int, str, str]]:
    """(first character, letters, mark of the pause after it) of each phrase, in order. Raises EngineUnavailable."""
    check_installed()
    import pyopenjtalk

    with _lock:
        parts: list[dict[str, Any]] = pyopenjtalk.g2p_mapping(text)
    phrases: list[tuple[int, list[str], str]] = []
    goes_on = False
    for part in parts:
        phones = [phone for phone in part["phonemes"] if phone not in ("pau", "sp", "unk")]
        if not phones:
            goes_on = False
            if "pau" in part["phonemes"] and phrases and not phrases[-1][2]:
                phrases[-1] = (*phrases[-1][:2], _PAUSES.get(part["surface"], ","))
        elif phrases and ((goes_on and part["chain_flag"] == 1) or _within_number(text, part["char_span"][0], phrases[-1][0])):
            phrases[-1][1].extend(phones)
        else:
            phrases.append((part["char_span"][0], phones, ""))
            goes_on = True
    return [(start, letters, pause) for start, phones, pause in phrases if (letters := spelled(phones))]


def _within_number(text: str, start: int, before: int) -> bool:
    """Whether what begins at `start` belongs to the number before it; some of its words have no character of their own."""
    return start <= before or (text[start].isdecimal() and (text[start - 1].isdecimal() or text[start - 1] in ".．,"))


def spelled(phones: Sequence[str]) -> str:
    """Open JTalk's phones in Kokoro's letters."""
    out, before = "", ""
    for phone, following in zip(phones, [*phones[1:], ""], strict=True):
        vowel = phone.lower() if phone.lower() in _VOWELS and len(phone) == 1 else ""  # those without voice are written large
        if phone == "N":
            out += _NASALS.get(following[:1], "ɴ")
        elif phone == "cl":
            out += "ʔ"
        elif vowel and vowel == before:
            out += "ː"
        elif vowel == "u":
            out += "ɨ" if before in _FRONTED_U else "ɯ"
        elif vowel:
            out += vowel
        else:
            out += _BEFORE_I.get(phone, _CONSONANTS.get(phone, "")) if following.lower() == "i" else _CONSONANTS.get(phone, "")
        before = vowel or phone
    return out
