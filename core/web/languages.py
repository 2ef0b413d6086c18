"""The languages of the pages; the first is the one for whoever asks for none of them."""

from __future__ import annotations

from core.web.texts import Texts
from core.web.texts_de import GERMAN
from core.web.texts_en import ENGLISH

LANGUAGES: tuple[Texts, ...] = (ENGLISH, GERMAN)
NAMES: tuple[str, ...] = tuple(texts.language for texts in LANGUAGES)
