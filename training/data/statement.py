"""Asks for the statement under which a data set may be used: the consent of the people in it, and its licence."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass

from training.files import DataError

MAX_CHARS = 20_000
LEAST_CHARS = 10


@dataclass(frozen=True)
class Statement:
    """consent: how the people in the videos agreed to be learnt from. licence: under which the videos are used. In the user's words."""

    consent: str
    licence: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


QUESTIONS = {
    "consent": "How did the people in these videos agree to a model being trained on their faces and voices?",
    "licence": "Under which licence, or by which right, are these videos used?",
}


def asked_statement(consent: str | None, licence: str | None) -> Statement:
    """What was given, and what is missing asked for on a terminal.

    Raises DataError where nobody can be asked, or an answer says nothing.
    """
    given = {"consent": consent, "licence": licence}
    for name, question in QUESTIONS.items():
        if given[name] is None and sys.stdin.isatty():
            sys.stderr.write(f"{question}\n> ")
            sys.stderr.flush()
            given[name] = sys.stdin.readline()
        given[name] = checked(name, given[name])
    return Statement(str(given["consent"]), str(given["licence"]))


def checked(name: str, text: str | None) -> str:
    """Raises DataError."""
    text = " ".join((text or "").split())
    if len(text) < LEAST_CHARS:
        raise DataError(f"There is no statement of {name}.", f'{QUESTIONS[name]} Say it in a sentence: --{name} "...".')
    if len(text) > MAX_CHARS:
        raise DataError(f"The statement of {name} has {len(text)} characters.", f"At most {MAX_CHARS} are kept: name the document instead.")
    return text
