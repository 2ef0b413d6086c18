"""Which scripts a language is written in, to notice a text that a voice cannot read."""

from __future__ import annotations

import unicodedata
from collections import Counter

MAX_FOREIGN = 0.2
"""Share of the letters that may be of other scripts: a name, a quotation."""
_SCRIPTS = {
    "CYRILLIC": "ba be bg cv kaa kk ky mk nog ru sr tt uk uz",
    "GREEK": "el grc",
    "HEBREW": "he",
    "ARABIC": "ar fa ku sd ug ur",
    "DEVANAGARI": "hi kok mr ne",
    "BENGALI": "as bn bpy",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "ORIYA": "or",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "MYANMAR": "my shn",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy hyw",
    "ETHIOPIC": "am ti",
    "CHEROKEE": "chr",
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh cmn yue hak ja-jp",
    "SHAVIAN": "en",
    "KLINGON": "",
}
_NAMES = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
_OF_LANGUAGE: dict[str, set[str]] = {}
for _script, _languages in _SCRIPTS.items():
    for _language in _languages.split():
        _OF_LANGUAGE.setdefault(_language, set()).add(_script)


def foreign_script(text: str, language: str) -> str:
    """The commonest script that `language` (BCP 47) is not written in, where it makes up too much of the text; else "".

    Letters of the Latin script are read in every language.
    """
    code = language.lower()
    own = _OF_LANGUAGE.get(code.split("-")[0], set()) | _OF_LANGUAGE.get(code, set()) | {"LATIN"}  # espeak-ng's "ja" reads kana alone
    scripts = Counter(_script_of(letter) for letter in text if letter.isalpha())
    foreign = {script: n for script, n in scripts.items() if script in _SCRIPTS and script not in own}
    if sum(foreign.values()) <= MAX_FOREIGN * sum(scripts.values()):
        return ""
    script = max(foreign, key=lambda each: foreign[each])
    if script == "CJK" and "HIRAGANA" in foreign:
        script = "HIRAGANA"  # kanji among kana
    return _NAMES.get(script, script.capitalize())


def _script_of(letter: str) -> str:
    """The first word of the letter's Unicode name, which is its script for all that are looked for here."""
    return unicodedata.name(letter, "").split(" ")[0]
