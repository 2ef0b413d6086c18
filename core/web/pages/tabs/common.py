"""What every part of a page is built with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from core.service.avatars import Shelf
from core.service.owners import owner_of
from core.service.requests import Desk
from core.service.tickets import Visitor
from core.web.pages.texts import Texts


@dataclass(frozen=True)
class Example:
    """Files a visitor can try without any of their own; they are served from where they lie."""

    photo: Path
    speech: Path
    seconds: int


@dataclass(frozen=True)
class PageContents:
    """What a page is made of. everything: avatars, past videos, status and their endpoints as well, not only the making of a video."""

    everything: bool = False
    examples: Sequence[Example] = ()


@dataclass(frozen=True)
class Context:
    """One page in one language."""

    desk: Desk
    shelf: Shelf
    contents: PageContents
    texts: Texts


def visitor(request: gr.Request) -> Visitor:
    """Who sent a request. Raises OptionError for a key that could be guessed."""
    session = str(request.session_hash or "")
    return Visitor(owner_of(request.headers, session), session)
