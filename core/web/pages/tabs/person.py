"""Who speaks: a new photo, with a choice of its faces, or one of the visitor's avatars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.service.avatars import Card
from core.types import Framing
from core.web.pages.html import Choice, cards_html
from core.web.pages.tabs.common import Context
from core.web.pages.texts import Texts
from core.web.pages.widgets import cards, photo_input, quiet

NEW_PHOTO = "new"


@dataclass(frozen=True)
class PhotoInputs:
    """A photo and which of its faces."""

    photo: Any
    faces: Any
    face: Any


@dataclass(frozen=True)
class PersonInputs:
    """The components that say who speaks. token: State, "" for a new photo; cards, new: None on a page without avatars."""

    picked: PhotoInputs
    token: Any
    cards: Any | None
    new: Any

    def components(self) -> set[Any]:
        return {self.picked.photo, self.picked.face, self.token}

    def outputs(self) -> list[Any]:
        """What `shown` updates."""
        return [self.token, self.cards, self.new]


def person_inputs(context: Context, name: str = "th") -> PersonInputs:
    """name: what the ids of its parts begin with."""
    token = gr.State("")
    board = cards(visible=False, elem_id=f"{name}-person") if context.contents.everything else None
    with gr.Column(elem_classes="th-plain-column") as new:
        picked = pick_face(context, f"{name}-photo", f"{name}-faces")
    inputs = PersonInputs(picked, token, board, new)
    if board is not None:

        def choose(event: gr.EventData) -> tuple[str, Any]:
            key = str(event._data.get("key", ""))
            chosen = "" if key == NEW_PHOTO else key
            return chosen, gr.update(visible=not chosen)

        board.select(choose, None, [token, new], **quiet(queue=False))
    return inputs


def shown(texts: Texts, avatars: Sequence[Card], chosen: str) -> list[Any]:
    """Updates of `PersonInputs.outputs`. chosen: a token; where it is not among the avatars any more, a new photo."""
    chosen = chosen if any(card.token == chosen for card in avatars) else ""
    choices = [Choice(NEW_PHOTO, texts.new_photo, None), *avatar_choices(texts, avatars)]
    html = cards_html(choices, chosen or NEW_PHOTO, texts.person)
    return [chosen, gr.update(value=html, visible=bool(avatars)), gr.update(visible=not chosen)]


def avatar_choices(texts: Texts, avatars: Sequence[Card]) -> list[Choice]:
    return [Choice(card.token, card.name or texts.avatar_unnamed, card.thumbnail) for card in avatars]


def pick_face(context: Context, photo_id: str, faces_id: str) -> PhotoInputs:
    """A photo, and below it the cut of each of its faces; the largest is chosen until another one is."""
    desk, texts = context.desk, context.texts
    photo = photo_input(texts, height=260, buttons=["fullscreen"], elem_id=photo_id)
    faces = cards(visible=False, elem_id=faces_id)
    face = gr.State(Framing.face_index)

    async def look(path: str | None) -> tuple[Any, int]:
        found = await desk.faces(path)
        several = len(found) > 1
        choices = [Choice(str(n), texts.face_named.format(number=n + 1) if several else "", cut) for n, cut in enumerate(found)]
        html = cards_html(choices, "0", texts.faces_several if several else texts.faces_one)
        return gr.update(value=html, visible=bool(found)), Framing.face_index

    def choose(event: gr.EventData) -> int:
        key = str(event._data.get("key", ""))
        return int(key) if key.isdecimal() and len(key) < 4 else Framing.face_index

    photo.change(look, photo, [faces, face], **quiet(concurrency_limit=None))
    faces.select(choose, None, face, **quiet(queue=False))
    return PhotoInputs(photo, faces, face)
