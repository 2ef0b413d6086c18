"""The languages of the pages; the first is the one for whoever asks for none of them."""

from __future__ import annotations

from core.web.pages.texts import Texts
from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH

LANGUAGES: tuple[Texts, ...] = (ENGLISH, GERMAN)
NAMES: tuple[str, ...] = tuple(texts.language for texts in LANGUAGES)
