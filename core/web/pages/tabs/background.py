"""The choice of what is behind the person: as in the photo, blurred, a colour, or a picture of the visitor's own."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from core.errors import InputError
from core.request import RenderOptions
from core.service.face_previews import PhotoPreview
from core.service.sent_pictures import square_file
from core.service.threads import on_thread
from core.web.pages.error_texts import sentence
from core.web.pages.html import error_html
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.widgets import picture_input, quiet

PICTURE = "picture"


@dataclass(frozen=True)
class BackgroundInputs:
    """choice: a value of the option `background`, or PICTURE. picture: the one that is then taken."""

    choice: Any
    picture: Any

    def components(self) -> set[Any]:
        return {self.choice, self.picture}

    def options(self, values: Mapping[Any, Any], honoured: frozenset[str]) -> dict[str, Any]:
        """By name, of the components' values; {} for a picture, and where the engine does not honour the option."""
        choice = values[self.choice]
        plain = choice in (None, "", RenderOptions.background, PICTURE) or "background" not in honoured
        return {} if plain else {"background": choice}

    def file(self, values: Mapping[Any, Any], honoured: frozenset[str]) -> Path | None:
        """The picture that is to be behind the person; None where none is to be, or none was given yet."""
        asked = values[self.choice] == PICTURE and "background" in honoured
        return uploaded(values[self.picture]) if asked else None

    def checked_file(self, values: Mapping[Any, Any], honoured: frozenset[str]) -> Path | None:
        """As `file`. Raises InputError where a picture was chosen, but none given."""
        file = self.file(values, honoured)
        if file is None and values[self.choice] == PICTURE and "background" in honoured:
            raise InputError("The picture for the background is missing.", "Give one.", code="background_missing")
        return file

    async def sent(self, values: Mapping[Any, Any], honoured: frozenset[str], context: Context, owner: str) -> dict[str, Any]:
        """What a message `start` (core/web/live) says of it: `options`, and where a picture is to be behind the person, `background`.

        Raises InputError.
        """
        file, requests = self.checked_file(values, honoured), context.service.requests
        said: dict[str, Any] = {"options": self.options(values, honoured)}
        if file is not None:
            picture = await requests.picture(file, owner, kept=True)
            said["background"] = base64.b64encode(await on_thread(square_file, picture)).decode()
        return said

    def chosen(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What is set, so that `restored` can set it again."""
        return {"background": values[self.choice], "background_picture": values[self.picture] or ""}

    def restored(self, chosen: Mapping[str, Any]) -> list[Any]:
        """Updates of `outputs`; a picture that is gone is left out."""
        choice = gr.update(value=chosen["background"]) if "background" in chosen else gr.skip()
        picture = uploaded(chosen.get("background_picture"))
        if picture is None or not picture.is_file():
            return [choice, gr.skip()]
        return [choice, gr.update(value=str(picture))]

    def outputs(self) -> list[Any]:
        return [self.choice, self.picture]


def background_inputs(context: Context, name: str) -> BackgroundInputs:
    """name: what the ids of its parts begin with. The place for a picture tells what is wrong with it, and is shown where one is wanted."""
    texts, previews = context.texts, context.service.face_previews
    choice = gr.Dropdown(
        [(label, value) for value, label in texts.picture["backgrounds"].items()],
        value=RenderOptions.background,
        label=texts.picture["background"],
        info=texts.picture["background_hint"],
        allow_custom_value=True,  # any colour may be typed
        elem_id=f"{name}-background",
    )
    label = texts.picture["background_picture"]
    with gr.Column(visible=False, elem_classes="th-plain-column") as place:
        picture = picture_input(label, height=150, buttons=["fullscreen"], elem_id=f"{name}-background-picture")
        wrong = gr.HTML(visible=False, elem_classes="th-html")

    async def look(path: str | None, request: gr.Request) -> list[Any]:
        given = uploaded(path)
        preview = PhotoPreview() if given is None else await previews.of_background(given, owner_of_request(request))
        said = "" if preview.error is None else error_html(texts, sentence(texts, preview.error))
        return [gr.skip() if preview.shown is None else str(preview.shown), gr.update(value=said, visible=bool(said))]

    choice.change(lambda value: gr.update(visible=value == PICTURE), choice, place, **quiet(queue=False))
    picture.change(look, picture, [picture, wrong], **quiet(concurrency_limit=None))
    return BackgroundInputs(choice, picture)
