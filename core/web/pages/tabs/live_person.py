"""Who is moved live: an avatar of the visitor, or a new photo, which becomes one; for the tabs with a live face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.errors import OptionError
from core.service.requests import AvatarInputs
from core.web.pages.tabs.background import BackgroundInputs, background_inputs
from core.web.pages.tabs.common import Context, uploaded
from core.web.pages.tabs.controls import honoured_controls
from core.web.pages.tabs.person import PersonInputs, person_inputs
from core.web.pages.widgets import quiet


@dataclass(frozen=True)
class LivePerson:
    """The components that say who is moved, before what. consent: asked for with a new photo. more: what the tab asks besides, by name."""

    person: PersonInputs
    consent: Any
    background: BackgroundInputs
    more: Mapping[str, Any]

    def draft_inputs(self) -> set[Any]:
        """The components that `draft` and `start` read."""
        return {*self.person.components(), self.consent, *self.background.components(), *self.more.values()}

    def draft(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What the visitor has put in."""
        more = {name: values[component] for name, component in self.more.items()}
        return {**self.person.chosen(values), **self.background.chosen(values), "consent": values[self.consent] is True, **more}

    def inputs(self) -> list[Any]:
        """The components that `arrived` updates."""
        return [*self.person.picked.outputs(), *self.background.outputs(), self.consent, *self.more.values()]

    def arrived(self, draft: Mapping[str, Any]) -> list[Any]:
        """For a page that was just opened. draft: what had been put into the page before; {} for nothing."""
        named = [gr.update(value=draft[name]) if name in draft else gr.skip() for name in ("consent", *self.more)]
        return [*self.person.picked.restored(draft), *self.background.restored(draft), *named]

    async def start(self, context: Context, values: Mapping[Any, Any], owner: str) -> dict[str, Any]:
        """`avatar`: as below; `options` and `background`: as in `BackgroundInputs.sent`. Raises what is wrong with photo or picture."""
        honoured = honoured_controls(context.service.studio, "auto")
        behind = await self.background.sent(values, honoured, context, owner)
        return {"avatar": await self.avatar(context, values, owner), **behind}

    async def avatar(self, context: Context, values: Mapping[Any, Any], owner: str) -> str:
        """The token of the chosen avatar, or of a new one of the photo. Raises what is wrong with the photo."""
        token, service = str(values[self.person.token] or ""), context.service
        if token:
            return token
        photo = uploaded(values[self.person.picked.photo])
        if photo is not None and values[self.consent] is not True:
            raise OptionError("The consent was not declared.", code="consent_missing")
        options = self.person.picked.framing(values)
        job = await service.requests.avatar(AvatarInputs(photo, options=options, consent=True), owner)
        ended = await service.jobs.ended(job.id, owner)
        if ended.error is not None:
            raise ended.error
        return str(ended.avatar)


def live_person(context: Context, name: str, rest: Callable[[], Mapping[str, Any]]) -> LivePerson:
    """On a wide screen the photo stands beside what else is asked. name: what the ids of its parts begin with. rest: makes the components
    of `LivePerson.more`.
    """
    texts = context.texts
    photos = [str(each.photo) for each in context.contents.examples[:1]]
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            person = person_inputs(context, name, parts=False)
            example = gr.Button(texts.example_photo, size="md", visible=bool(photos), elem_id=f"{name}-example")
            consent = gr.Checkbox(False, label=texts.consent, container=False, elem_id=f"{name}-consent")
        with gr.Column(min_width=300):
            with gr.Column(elem_classes="th-plain-column", visible="background" in honoured_controls(context.service.studio, "auto")):
                background = background_inputs(context, name)
            more = rest()
    person.picked.ask_anew(consent)

    def show(token: str) -> list[Any]:
        return [gr.update(visible=not token and bool(photos)), gr.update(visible=not token)]

    person.token.change(show, person.token, [example, consent], **quiet(queue=False))
    example.click(lambda: (photos[0], True), None, [person.picked.photo, consent], **quiet(queue=False))
    return LivePerson(person, consent, background, more)
