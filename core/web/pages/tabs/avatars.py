"""The Avatars tab: register a photo, see the registered ones, use, rename and delete them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from core.errors import InputError, OptionError
from core.service.errors import UnknownJob
from core.service.job_store import UNENDED
from core.service.job_views import JobView
from core.service.requests import AvatarInputs
from core.web.pages.error_texts import sentence
from core.web.pages.figures import human_bytes
from core.web.pages.html import cards_html, error_html, note_html, plain_html, progress_html
from core.web.pages.tabs import person
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.tabs.person import Card, PersonInputs, cards_of, pick_face
from core.web.pages.widgets import cards, kept_text, quiet


class AvatarsTab:
    """The tab, inside a `gr.Tabs` whose generate tab is `generate_tab`. submitted: the event after which `followed` is to be asked, as
    after each change of the visitor's jobs or avatars.
    """

    def __init__(self, context: Context, persons: Sequence[PersonInputs], tabs: Any, generate_tab: str) -> None:
        """persons: of the other tabs, where an avatar can be chosen."""
        self._context = context
        self._persons = persons
        texts = context.texts
        self._job, self._version = kept_text(), kept_text()
        """The registration that the page waits for, and which avatars it shows."""
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                gr.HTML(note_html(texts.avatars_intro), elem_classes="th-html")
                self._picked = pick_face(context, "th-avatar-photo", "th-avatar-faces")
                self._name = gr.Textbox(label=texts.avatar_name, info=texts.avatar_name_hint, max_lines=1, elem_id="th-avatar-name")
                self._consent = gr.Checkbox(False, label=texts.consent, container=False, elem_id="th-avatar-consent")
                with gr.Row():
                    self._register = gr.Button(texts.register, variant="primary", elem_id="th-avatar-register")
                    self._cancel = gr.Button(texts.cancel, variant="stop", visible=False, elem_id="th-avatar-cancel")
                self._status = gr.HTML(elem_id="th-avatar-status", elem_classes="th-html")
            with gr.Column(min_width=300):
                self._gallery = cards(elem_id="th-avatars")
                self._token = kept_text()
                with gr.Column(visible=False, elem_classes="th-plain-column") as self._actions:
                    with gr.Row():
                        self._new_name = gr.Textbox(
                            label=texts.avatar_name, max_lines=1, min_width=140, scale=3, elem_id="th-avatar-new-name"
                        )
                        self._rename = gr.Button(texts.avatar_rename, min_width=150, elem_id="th-avatar-rename")
                    with gr.Row():
                        self._use = gr.Button(texts.avatar_use, variant="primary", min_width=110, elem_id="th-avatar-use")
                        self._delete = gr.Button(texts.avatar_delete, variant="stop", min_width=110, elem_id="th-avatar-delete")
                    self._sure = gr.Checkbox(False, visible=False)
        self._picked.ask_anew(self._consent)
        self._wire_changes(tabs, generate_tab)
        self.submitted = self._wire_registration()

    def follows(self) -> list[Any]:
        """The components that `followed` reads."""
        return [self._job, self._version, self._token, *(each.token for each in self._persons)]

    def outputs(self) -> list[Any]:
        """What `followed` and `arrived` update: how the registration stands, and the avatars, here and in the other tabs."""
        return [*self._progress(), *self._lists()]

    def draft_inputs(self) -> set[Any]:
        """The components that `draft` reads."""
        return {*self._picked.components(), self._name, self._consent, self._token, self._new_name}

    def draft(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What the visitor has put in."""
        return {
            **self._picked.chosen(values),
            "name": str(values[self._name] or ""),
            "consent": values[self._consent] is True,
            "selected": str(values[self._token] or ""),
            "new_name": str(values[self._new_name] or ""),
        }

    def inputs(self) -> list[Any]:
        """The components that `restored` updates."""
        return [*self._picked.outputs(), self._name, self._consent]

    def restored(self, draft: Mapping[str, Any]) -> list[Any]:
        """draft: what had been put into the page before; {} for nothing."""
        own = [gr.update(value=draft[name]) if name in draft else gr.skip() for name in ("name", "consent")]
        return [*self._picked.restored(draft), *own]

    def arrived(self, owner: str, draft: Mapping[str, Any], *spoken: str) -> list[Any]:
        """For a page that was just opened. draft: as `restored`. spoken: the token of the avatar that speaks in each of the first tabs, ""
        for a new photo.
        """
        under_way = next(iter(self._context.service.jobs.of(owner, UNENDED, ("avatar",))), None)
        progress = self._idle("") if under_way is None else self._busy(under_way)
        others = [*spoken, *[""] * (len(self._persons) - len(spoken))]
        return [*progress, *self._shown(owner, str(draft.get("selected", "")), others, draft.get("new_name"))]

    def followed(self, owner: str, job_id: str, version: str, token: str, *spoken: str) -> list[Any]:
        """How the registration stands that the page waits for, once it has ended; and the avatars where others are shown."""
        unchanged = [gr.skip()] * len(self._progress())
        if job_id:
            try:
                job = self._context.service.jobs.get(job_id, owner)
            except UnknownJob:
                return [*self._idle(plain_html(self._context.texts.stopped)), *self._shown(owner, token, spoken)]
            if job.ended:
                return [*self._ended(job), *self._shown(owner, job.avatar or token, spoken)]
        if version == self._version_of(owner):
            return [gr.skip()] * len(self.outputs())
        return [*unchanged, *self._shown(owner, token, spoken)]

    # ---- what the components show

    def _progress(self) -> list[Any]:
        return [self._job, self._status, self._register, self._cancel]

    def _lists(self) -> list[Any]:
        others = [output for each in self._persons for output in each.outputs()]
        return [self._version, self._gallery, self._token, self._new_name, self._actions, *others]

    def _shown(self, owner: str, chosen: str, spoken: Sequence[str], new_name: str | None = None) -> list[Any]:
        """Updates of `_lists`. chosen: the token that is selected in this tab. spoken: those selected in the other tabs, in their order.
        new_name: what was put in for the selected one; None for nothing.
        """
        version = self._version_of(owner)
        avatars = cards_of(self._context.service.avatars, owner)
        here = next((card for card in avatars if card.token == chosen), None)
        return [
            version,
            self._gallery_html(avatars, chosen),
            here.token if here else "",
            "" if here is None else here.name if new_name is None else new_name,
            gr.update(visible=here is not None),
            *(each for token in spoken for each in person.shown(self._context.texts, avatars, token)),
        ]

    def _version_of(self, owner: str) -> str:
        """Equal as long as the same avatars have the same names."""
        named = [(avatar.token, avatar.name) for avatar in self._context.service.avatars.of(owner)]
        return hashlib.sha256(repr(named).encode()).hexdigest()[:16]

    def _gallery_html(self, avatars: list[Card], chosen: str) -> str:
        texts = self._context.texts
        if not avatars:
            return plain_html(texts.avatars_none)
        return cards_html(person.avatar_choices(texts, avatars), chosen, texts.avatars_yours)

    def _idle(self, status: str) -> list[Any]:
        return ["", status, gr.update(interactive=True), gr.update(visible=False)]

    def _busy(self, job: JobView) -> list[Any]:
        html = progress_html(self._context.texts, job)
        return [job.id, html, gr.update(interactive=False), gr.update(visible=True, interactive=True)]

    def _ended(self, job: JobView) -> list[Any]:
        texts = self._context.texts
        if job.avatar:
            named = {avatar.token: avatar.name for avatar in self._context.service.avatars.of(job.owner)}
            return self._idle(plain_html(texts.registered.format(name=named.get(job.avatar) or texts.avatar_unnamed)))
        if job.error is None or job.state == "cancelled":
            return self._idle(plain_html(texts.stopped))
        return self._idle(error_html(texts, sentence(texts, job.error)))

    # ---- what the buttons do

    def _wire_registration(self) -> Any:
        texts, service = self._context.texts, self._context.service

        async def register(values: dict[Any, Any], request: gr.Request) -> list[Any]:
            try:
                if values[self._consent] is not True:
                    raise OptionError("The consent was not declared.", code="consent_missing")
                options = self._picked.framing(values)
                inputs = AvatarInputs(uploaded(values[self._picked.photo]), str(values[self._name] or ""), options=options, consent=True)
                job = await service.requests.avatar(inputs, owner_of_request(request))
            except Exception as error:
                said = sentence(texts, error)
                return self._idle(error_html(texts, said))
            return self._busy(job)

        def stop(job_id: str, request: gr.Request) -> list[Any]:
            try:
                job = service.jobs.cancel(job_id, owner_of_request(request))
            except UnknownJob:
                return self._idle(plain_html(texts.stopped))
            if job.ended:
                return self._ended(job)
            return [gr.skip(), plain_html(texts.stopping), gr.skip(), gr.update(interactive=False)]

        self._cancel.click(stop, self._job, self._progress(), **quiet(queue=False))
        inputs = {self._picked.photo, self._name, *self._picked.framing_components(), self._consent}
        return self._register.click(register, inputs, self._progress(), **quiet(concurrency_limit=None))

    def _wire_changes(self, tabs: Any, generate_tab: str) -> None:
        texts, avatars = self._context.texts, self._context.service.avatars
        speaks = [each.token for each in self._persons]

        def spoken(values: dict[Any, Any]) -> list[str]:
            return [values[each] for each in speaks]

        def choose(event: gr.EventData, request: gr.Request) -> list[Any]:
            token = str(event._data.get("key", ""))
            named = {avatar.token: avatar.name for avatar in avatars.of(owner_of_request(request))}
            if token not in named:
                raise InputError(texts.avatar_nothing_chosen)
            return [token, named[token], gr.update(visible=True), gr.update(value=texts.avatar_delete), False]

        def use(token: str, request: gr.Request) -> list[Any]:
            return [*self._shown(owner_of_request(request), token, [token] * len(speaks)), gr.update(selected=generate_tab)]

        def rename(values: dict[Any, Any], request: gr.Request) -> list[Any]:
            avatar = avatars.rename(values[self._token], owner_of_request(request), values[self._new_name])
            renamed = plain_html(texts.avatar_renamed.format(name=avatar.name or texts.avatar_unnamed))
            return [renamed, *self._shown(avatar.owner, avatar.token, spoken(values))]

        def delete(values: dict[Any, Any], request: gr.Request) -> list[Any]:
            if not values[self._sure]:
                return [gr.update(value=texts.avatar_delete_sure), True, *([gr.skip()] * (1 + len(self._lists())))]
            owner, token = owner_of_request(request), values[self._token]
            name = next((avatar.name for avatar in avatars.of(owner) if avatar.token == token), "") or texts.avatar_unnamed
            freed = avatars.delete(token, owner)
            deleted = plain_html(texts.avatar_deleted.format(name=name, size=human_bytes(texts, freed)))
            return [gr.update(value=texts.avatar_delete), False, deleted, *self._shown(owner, "", spoken(values))]

        self._gallery.select(choose, None, [self._token, self._new_name, self._actions, self._delete, self._sure], **quiet(queue=False))
        self._use.click(use, self._token, [*self._lists(), tabs], **quiet(queue=False))
        renaming = {self._token, self._new_name, *speaks}
        for event in (self._rename.click, self._new_name.submit):
            event(rename, renaming, [self._status, *self._lists()], **quiet(queue=False))
        self._delete.click(
            delete, {self._token, self._sure, *speaks}, [self._delete, self._sure, self._status, *self._lists()], **quiet(queue=False)
        )
