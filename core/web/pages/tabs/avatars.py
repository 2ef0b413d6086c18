"""The Avatars tab: register a photo, see the registered ones, use, rename and delete them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from html import escape
from typing import Any

import gradio as gr

from core.errors import Cancelled, InputError, TalkingHeadError
from core.service.avatars import Card
from core.types import Avatar
from core.web.pages.html import cards_html, error_html, human_bytes, note_html, plain_html, progress_html
from core.web.pages.tabs import person
from core.web.pages.tabs.common import Context, visitor
from core.web.pages.tabs.person import PersonInputs, pick_face
from core.web.pages.widgets import cards, page_error, quiet


class AvatarsTab:
    """The tab, inside a `gr.Tabs` whose generate tab is `generate_tab`."""

    def __init__(self, context: Context, persons: Sequence[PersonInputs], tabs: Any, generate_tab: str) -> None:
        """persons: of the other tabs, where an avatar can be chosen."""
        self._context = context
        self._persons = persons
        texts = context.texts
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
                self._board = cards(elem_id="th-avatars")
                self._token = gr.State("")
                with gr.Column(visible=False, elem_classes="th-plain-column") as self._actions:
                    with gr.Row():
                        self._new_name = gr.Textbox(
                            label=texts.avatar_name, max_lines=1, min_width=140, scale=3, elem_id="th-avatar-new-name"
                        )
                        self._rename = gr.Button(texts.avatar_rename, min_width=150, elem_id="th-avatar-rename")
                    with gr.Row():
                        self._use = gr.Button(texts.avatar_use, variant="primary", min_width=110, elem_id="th-avatar-use")
                        self._delete = gr.Button(texts.avatar_delete, variant="stop", min_width=110, elem_id="th-avatar-delete")
                    self._sure = gr.State(False)
        self._wire(tabs, generate_tab)

    def outputs(self) -> list[Any]:
        """What `shown` updates: this tab's gallery and its actions, and the galleries of the other tabs."""
        others = [output for each in self._persons for output in each.outputs()]
        return [self._board, self._token, self._new_name, self._actions, *others]

    def shown(self, owner: str, chosen: str = "", spoken: Sequence[str] = ()) -> list[Any]:
        """chosen: the token that is selected in this tab. spoken: those selected in the other tabs, in their order; else new photos."""
        avatars = self._context.shelf.cards(owner)
        here = next((card for card in avatars if card.token == chosen), None)
        return [
            self._gallery(avatars, chosen),
            here.token if here else "",
            here.name if here else "",
            gr.update(visible=here is not None),
            *(each for token in spoken or [""] * len(self._persons) for each in person.shown(self._context.texts, avatars, token)),
        ]

    def _gallery(self, avatars: list[Card], chosen: str) -> str:
        texts = self._context.texts
        if not avatars:
            return plain_html(texts.avatars_none)
        return cards_html(person.avatar_choices(texts, avatars), chosen, texts.avatars_yours)

    def _wire(self, tabs: Any, generate_tab: str) -> None:
        texts, desk, shelf = self._context.texts, self._context.desk, self._context.shelf
        speaks = [each.token for each in self._persons]

        def spoken(values: dict[Any, Any]) -> list[str]:
            return [values[each] for each in speaks]

        async def register(values: dict[Any, Any], request: gr.Request) -> AsyncIterator[list[Any]]:
            def said(html: str, *, busy: bool) -> list[Any]:
                return [html, gr.update(interactive=not busy), gr.update(visible=busy)]

            unchanged = [gr.skip()] * len(self.outputs())
            try:
                if not values[self._consent]:
                    raise InputError(texts.consent_missing)
                about = values[self._picked.photo], values[self._name], values[self._picked.face]
                async with aclosing(shelf.register(*about, True, visitor(request), texts)) as steps:
                    async for step in steps:
                        if isinstance(step, Avatar):
                            done = plain_html(texts.registered.format(name=step.name or texts.avatar_unnamed))
                            yield [*said(done, busy=False), *self.shown(step.owner, step.token, spoken(values))]
                        else:
                            yield [*said(progress_html(texts, step), busy=True), *unchanged]
            except Cancelled:
                yield [*said(plain_html(texts.stopped), busy=False), *unchanged]
            except TalkingHeadError as error:
                yield [*said(error_html(texts, str(error)), busy=False), *unchanged]
                raise page_error(escape(str(error)), texts.error) from None
            except Exception:
                yield [*said(error_html(texts, texts.unexpected), busy=False), *unchanged]
                raise

        def stop(request: gr.Request) -> str:
            desk.tickets.cancel(visitor(request).tab)
            return plain_html(texts.stopping)

        def choose(event: gr.EventData, request: gr.Request) -> list[Any]:
            token = str(event._data.get("key", ""))
            named = {avatar.token: avatar.name for avatar in shelf.avatars(visitor(request).owner)}
            if token not in named:
                raise InputError(texts.avatar_nothing_chosen)
            return [token, named[token], gr.update(visible=True), gr.update(value=texts.avatar_delete), False]

        def use(token: str, request: gr.Request) -> list[Any]:
            return [*self.shown(visitor(request).owner, token, [token] * len(speaks)), gr.update(selected=generate_tab)]

        def rename(values: dict[Any, Any], request: gr.Request) -> list[Any]:
            avatar = shelf.rename(values[self._token], visitor(request).owner, values[self._new_name])
            renamed = plain_html(texts.avatar_renamed.format(name=avatar.name or texts.avatar_unnamed))
            return [renamed, *self.shown(avatar.owner, avatar.token, spoken(values))]

        def delete(values: dict[Any, Any], request: gr.Request) -> list[Any]:
            if not values[self._sure]:
                return [gr.update(value=texts.avatar_delete_sure), True, *([gr.skip()] * (1 + len(self.outputs())))]
            owner, token = visitor(request).owner, values[self._token]
            name = next((avatar.name for avatar in shelf.avatars(owner) if avatar.token == token), "") or texts.avatar_unnamed
            freed = shelf.delete(token, owner)
            deleted = plain_html(texts.avatar_deleted.format(name=name, size=human_bytes(freed)))
            return [gr.update(value=texts.avatar_delete), False, deleted, *self.shown(owner, "", spoken(values))]

        progress = [self._status, self._register, self._cancel]
        self._register.click(
            register,
            {self._picked.photo, self._name, self._picked.face, self._consent, *speaks},
            [*progress, *self.outputs()],
            **quiet(concurrency_limit=None),
        )
        self._cancel.click(stop, None, self._status, **quiet(queue=False))
        self._board.select(choose, None, [self._token, self._new_name, self._actions, self._delete, self._sure], **quiet(queue=False))
        self._use.click(use, self._token, [*self.outputs(), tabs], **quiet(queue=False))
        renaming = {self._token, self._new_name, *speaks}
        for event in (self._rename.click, self._new_name.submit):
            event(rename, renaming, [self._status, *self.outputs()], **quiet(queue=False))
        self._delete.click(
            delete, {self._token, self._sure, *speaks}, [self._delete, self._sure, self._status, *self.outputs()], **quiet(queue=False)
        )
