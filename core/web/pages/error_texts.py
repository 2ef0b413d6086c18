"""Errors and warnings in a page's language: by their code and parameters, and in their own words where the page has none for the code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from core.errors import TalkingHeadError
from core.notices import read_notice
from core.service.errors import hide_paths
from core.web.pages.figures import marked
from core.web.pages.language import LANGUAGES
from core.web.pages.texts import Texts

logger = logging.getLogger(__name__)


def sentence(texts: Texts, error: BaseException, *, program: bool = False) -> str:
    """What a visitor is told, as plain text. An error that is none of ours is logged, and told without its words.

    program: it is told to a client of the API, which calls photos, recordings and options by the names that core has for them.
    """
    if not isinstance(error, TalkingHeadError):
        logger.error("a page event failed", exc_info=error)
        return texts.unexpected
    known = texts.errors.get(error.code)
    if known is None and not program:
        known = cast(Mapping[str, str], texts.media_errors).get(error.code)
    if known is None:
        return str(error)
    try:
        return known.format(**{name: _word(texts, name, value) for name, value in error.parameters.items()})
    except (LookupError, ValueError):  # recorded by another version, with other parameters
        return str(error)


def told_in(language: str) -> Callable[[BaseException], dict[str, str]]:
    """What the page of a language is told of an error: its type, and a sentence. An unknown language is that of the first page."""
    texts = next((each for each in LANGUAGES if each.language == language), LANGUAGES[0])
    return lambda error: {"type": type(error).__name__, "message": hide_paths(sentence(texts, error)), "hint": ""}


def warning(texts: Texts, sentence: str) -> str:
    """A warning in the page's language, and in its own words where the page has none for it."""
    known = read_notice(sentence)
    if known is None:
        return sentence
    code, figures = known
    return texts.notices[code].format(**{name: marked(texts, value) for name, value in figures.items()})


def reason(texts: Texts, sentence: str) -> str:
    """Why an engine was taken (core/engine_selection.py), in the page's language where it has words for it."""
    return texts.reasons.get(sentence, sentence)


def _word(texts: Texts, name: str, value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    if name.startswith("limit"):  # the others may be names of files
        return marked(texts, str(value))
    return texts.option_names.get(str(value)) or texts.presets.get(str(value)) or str(value) if name == "name" else str(value)
