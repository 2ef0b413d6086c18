"""A picture beside the sliders of the face: what each change does, at once."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from core.errors import TalkingHeadError
from core.web.pages.error_texts import sentence
from core.web.pages.html import note_html
from core.web.pages.tabs.clip import is_moving
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.tabs.controls import ControlInputs, honoured_controls
from core.web.pages.tabs.person import PersonInputs
from core.web.pages.texts import Texts
from core.web.pages.widgets import kept_text, quiet

MEAN_GAP_S = 3.4
"""From one blink to the next, of normal blinking (core/lite/motion.py)."""


def follow_with_stills(context: Context, person: PersonInputs, controls: ControlInputs) -> None:
    """Draws anew when a slider, the format or the part of the photo changes, when the options are opened, and while they are open when
    another person is chosen.
    """
    texts, opened = context.texts, kept_text()

    async def drawn(values: Mapping[Any, Any], request: gr.Request, shown: str) -> Any:
        token, photo = str(values[person.token] or ""), uploaded(values[person.picked.photo])
        engine = str(values[controls.engine] or "auto")
        owner = owner_of_request(request)
        moving = is_moving(context, token, values[person.picked.photo], owner)
        honoured = honoured_controls(context.service.studio, engine, moving)
        if "smile" not in honoured or not (token or photo):
            return gr.update(visible=False)
        options = {**({} if token else person.picked.options(values)), **controls.options(values, honoured)}
        background = controls.background.file(values, honoured)
        try:
            still = await context.service.stills.of(token or photo or "", owner, options, shown, background)
        except TalkingHeadError as error:
            return gr.update(value=note_html(sentence(texts, error)), visible=True)
        said = _blinks(texts, values[controls.sliders["blink"]]) if shown == "blink" else texts.picture["still"]
        data = base64.b64encode(still).decode()
        picture = f'<img alt="{escape(texts.picture["still"])}" src="data:image/jpeg;base64,{data}">'
        html = f'<figure class="th-still">{picture}<figcaption>{escape(said)}</figcaption></figure>'
        return gr.update(value=html, visible=bool(still))

    def follow(event: Any, shown: str) -> None:
        async def draw(values: dict[Any, Any], request: gr.Request) -> Any:
            return await drawn(values, request, shown)

        components = {*person.components(), *controls.components()}
        event(draw, components, controls.still, **quiet_last())

    async def draw_anew(values: dict[Any, Any], request: gr.Request) -> Any:
        return await drawn(values, request, "all") if values[opened] else gr.update(visible=False)

    for name, slider in controls.sliders.items():
        follow(slider.input, name)
        follow(slider.release, name)
    follow(controls.aspect.input, "aspect")
    follow(controls.background.choice.input, "background")
    follow(controls.background.picture.input, "background")
    follow(controls.fold.expand, "all")
    follow(person.picked.crop.change, "crop")
    follow(person.picked.landmarks.change, "landmarks")
    controls.fold.expand(None, None, opened, js="() => 'yes'", **quiet())
    controls.fold.collapse(None, None, opened, js="() => ''", **quiet())
    for known in person.known:
        known.then(draw_anew, {*person.components(), *controls.components(), opened}, controls.still, **quiet_last())


def quiet_last() -> dict[str, Any]:
    """Of an event that may come often: the newest counts."""
    return {"show_progress": "hidden", "api_visibility": "private", "queue": False, "trigger_mode": "always_last"}


def _blinks(texts: Texts, rate: float | None) -> str:
    if not rate:
        return texts.picture["still_no_blinks"]
    return texts.picture["still_blinks"].format(n=round(60 * rate / MEAN_GAP_S))
