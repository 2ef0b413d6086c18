"""The Stream tab: the video plays while it is made; our own player (core/web/pages/static/player.js), nothing from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from core.errors import BusyError
from core.service.errors import UnknownJob
from core.service.requests import VideoInputs
from core.web.pages.error_texts import sentence
from core.web.pages.html import error_html, note_html, plain_html, result_html
from core.web.pages.player_html import player_html
from core.web.pages.scripts import script
from core.web.pages.speech_html import captions_html
from core.web.pages.stream_route import job_at, stream_address
from core.web.pages.tabs.background import background_inputs
from core.web.pages.tabs.clip import clip_inputs, is_moving
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.tabs.controls import honoured_controls
from core.web.pages.tabs.person import person_inputs
from core.web.pages.tabs.speech_input import speech_inputs
from core.web.pages.texts import Texts
from core.web.pages.widgets import captions_board, kept_text, quiet

END_S = 60.0
"""How long the end of a job is waited for when its stream has ended."""
ASK, PLAY, STOP = "() => window.talkingHead.ask()", "(address) => window.talkingHead.play(address)", "() => window.talkingHead.stop()"


class StreamTab:
    """person: who speaks, where an avatar can be chosen."""

    def __init__(self, context: Context) -> None:
        self._context = context
        service, texts = context.service, context.texts
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                gr.HTML(note_html(texts.stream_intro), elem_classes="th-html")
                self.person = person_inputs(context, "th-stream")
                self._speech = speech_inputs(context, "th-stream")
                self._clip = clip_inputs(context, "th-stream")
                self._consent = gr.Checkbox(False, label=texts.consent, container=False, visible=service.settings.require_consent)
                offered = "background" in honoured_controls(service.studio, "auto")
                with gr.Accordion(texts.options, open=False, elem_id="th-stream-options", visible=offered):
                    self._background = background_inputs(context, "th-stream")
                with gr.Row(elem_classes="th-sticky"):
                    play = gr.Button(texts.stream_play, variant="primary", elem_id="th-stream-play")
                    stop = gr.Button(texts.stream_stop, variant="stop", elem_id="th-stream-stop")
            with gr.Column(min_width=300):
                player = script("player_bar.js", "player.js")
                stage = gr.HTML(_stage_html(texts), js_on_load=player, elem_id="th-stage", elem_classes="th-html")
                captions = captions_board("th-stream-captions", "#th-stage")
                status = gr.HTML(elem_id="th-stream-status", elem_classes="th-html")
        self.person.picked.ask_anew(self._consent)
        self._clip.follow_person(context, self.person)
        self._wire(play, stop, stage, captions, status)

    def draft_inputs(self) -> set[Any]:
        """The components that `draft` reads."""
        own = (*self._clip.components(), self._consent, *self._background.components())
        return {*self.person.components(), *self._speech.components(), *own}

    def draft(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What the visitor has put in."""
        consent = values[self._consent] is True
        own = {"consent": consent, "clip": self._clip.chosen(values), "controls": self._background.chosen(values)}
        return {**self.person.chosen(values), **self._speech.chosen(values), **own}

    def inputs(self) -> list[Any]:
        """The components that `arrived` updates."""
        own = [*self._clip.outputs(), self._consent, *self._background.outputs()]
        return [*self.person.picked.outputs(), *self._speech.outputs(), *own]

    def arrived(self, draft: Mapping[str, Any]) -> list[Any]:
        """For a page that was just opened. draft: what had been put into the page before; {} for nothing."""
        consent = gr.update(value=draft["consent"]) if "consent" in draft else gr.skip()
        clip, background = self._clip.restored(draft.get("clip", {})), self._background.restored(draft.get("controls", {}))
        return [*self.person.picked.restored(draft), *self._speech.restored(draft), *clip, consent, *background]

    def _wire(self, play: Any, stop: Any, stage: Any, captions: Any, status: Any) -> None:
        service, texts, speech, person = self._context.service, self._context.texts, self._speech, self.person
        address = kept_text()

        async def begin(values: dict[Any, Any], request: gr.Request) -> tuple[str, str]:
            token, owner = str(values[person.token] or ""), owner_of_request(request)
            options = speech.options(values) | ({} if token else person.picked.options(values))
            moving = is_moving(self._context, token, values[person.picked.photo], owner)
            honoured, image = honoured_controls(service.studio, "auto"), None if token else uploaded(values[person.picked.photo])
            try:
                inputs = VideoInputs(
                    **speech.given(values), image=image, avatar=token, consent=values[self._consent] is True,
                    options=options | self._background.options(values, honoured) | self._clip.options(values, honoured, moving),
                    client_state=self.draft(values),
                    background=self._background.checked_file(values, honoured),
                )  # fmt: skip
                job = await service.requests.video(inputs, owner, kind="stream", kept=False, keep_stream=True)
            except Exception as error:
                said = sentence(texts, error)
                return "", error_html(texts, said)
            return stream_address(job.id), ""

        async def follow(address: str, request: gr.Request) -> AsyncIterator[str]:
            """The captions of a text as it is spoken; nothing in their place at the end where there are none."""
            shown: str | None = None
            try:
                async for job in service.jobs.watch(job_at(address), owner_of_request(request)):
                    html = "" if job.state == "cancelled" else captions_html(texts, job, address)
                    if html != shown and (html or job.ended):
                        yield html
                        shown = html
            except (UnknownJob, BusyError):  # stopped, or the service stops: captions on their way may come after those of Stop
                yield ""

        async def through(event: gr.EventData, request: gr.Request) -> Any:
            """What came out, when the player has it all or can get no more."""
            try:
                ended = service.jobs.ended(job_at(str(event._data.get("address", ""))), owner_of_request(request))
                job = await asyncio.wait_for(ended, END_S)
            except (UnknownJob, TimeoutError):
                return gr.skip()  # stopped, and that was said
            if job.info is not None:
                return result_html(texts, job.info) + note_html(texts.stream_kept)
            if job.error is None or job.state == "cancelled":
                return plain_html(texts.stopped)
            return error_html(texts, sentence(texts, job.error))

        def end(address: str, request: gr.Request) -> tuple[str, str, str]:
            """Nothing is left of a video that was not complete."""
            owner = owner_of_request(request)
            with contextlib.suppress(UnknownJob, BusyError):
                if service.jobs.get(job_at(address), owner).state == "done":
                    return "", plain_html(texts.stream_kept), ""
            service.jobs.abandon(job_at(address), owner)
            return "", plain_html(texts.stopped), ""

        play.click(None, js=ASK)
        begun = play.click(begin, self.draft_inputs(), [address, status], **quiet(concurrency_limit=None))
        begun.then(None, address, None, js=PLAY)
        begun.then(follow, address, captions, **quiet(concurrency_limit=None, trigger_mode="multiple"))
        stop.click(None, js=STOP)
        stop.click(end, address, [address, status, captions], **quiet(queue=False))
        stage.submit(through, None, status, **quiet(concurrency_limit=None))


def _stage_html(texts: Texts) -> str:
    words = f'data-waiting="{escape(texts.stream_waiting)}" data-first="{escape(texts.stream_first)}"'
    player = player_html(texts, "<video playsinline></video>" * 2)
    return f'<div class="th-stage" {words}>{player}<p class="th-stage-note" role="status"></p></div>'
