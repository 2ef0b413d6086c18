"""The Stream tab: the video plays while it is made; our own player (core/web/pages/static/player.js), nothing from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from core.errors import BusyError
from core.service.errors import UnknownJob
from core.service.requests import VideoInputs
from core.web.pages.error_texts import sentence
from core.web.pages.html import error_html, note_html, plain_html, result_html
from core.web.pages.speech_html import captions_html
from core.web.pages.stream_route import job_at, stream_address
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.tabs.person import PersonInputs, person_inputs
from core.web.pages.tabs.speech_input import speech_inputs
from core.web.pages.texts import Texts
from core.web.pages.widgets import captions_board, kept_text, quiet

END_S = 2.0
"""How long the end of a job is waited for when its stream has ended."""
PLAYER = Path(__file__).resolve().parents[1] / "static" / "player.js"
ASK, PLAY, STOP = "() => window.talkingHead.ask()", "(address) => window.talkingHead.play(address)", "() => window.talkingHead.stop()"


def build_stream(context: Context) -> PersonInputs:
    """The tab; returns who speaks, where an avatar can be chosen."""
    service, texts = context.service, context.texts
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            gr.HTML(note_html(texts.stream_intro), elem_classes="th-html")
            person = person_inputs(context, "th-stream")
            speech = speech_inputs(context, "th-stream")
            consent = gr.Checkbox(False, label=texts.consent, container=False, visible=service.settings.require_consent)
            with gr.Row():
                play = gr.Button(texts.stream_play, variant="primary", elem_id="th-stream-play")
                stop = gr.Button(texts.stream_stop, variant="stop", elem_id="th-stream-stop")
        with gr.Column(min_width=300):
            script = PLAYER.read_text(encoding="utf-8")
            stage = gr.HTML(_stage_html(texts), js_on_load=script, elem_id="th-stage", elem_classes="th-html")
            captions = captions_board("th-stream-captions", "#th-stage")
            status = gr.HTML(elem_id="th-stream-status", elem_classes="th-html")
    person.picked.ask_anew(consent)
    address = kept_text()

    async def begin(values: dict[Any, Any], request: gr.Request) -> tuple[str, str]:
        token = str(values[person.token] or "")
        options = speech.options(values) | ({} if token else {"face_index": values[person.picked.face]})
        image = None if token else uploaded(values[person.picked.photo])
        inputs = VideoInputs(**speech.given(values), image=image, avatar=token, options=options, consent=values[consent] is True)
        try:
            job = await service.requests.video(inputs, owner_of_request(request), kind="stream", kept=False)
        except Exception as error:
            said = sentence(texts, error)
            return "", error_html(texts, said)
        return stream_address(job.id), ""

    async def follow(address: str, request: gr.Request) -> AsyncIterator[str]:
        """The captions of a text as it is spoken; nothing in their place at the end where there are none."""
        shown: str | None = None
        with contextlib.suppress(UnknownJob, BusyError):  # stopped, or the service stops
            async for job in service.jobs.watch(job_at(address), owner_of_request(request)):
                html = captions_html(texts, job, address)
                if html != shown and (html or job.ended):
                    yield html
                    shown = html

    async def through(event: gr.EventData, request: gr.Request) -> Any:
        """What came out, when the player has it all or can get no more."""
        try:
            ended = service.jobs.ended(job_at(str(event._data.get("address", ""))), owner_of_request(request))
            job = await asyncio.wait_for(ended, END_S)
        except (UnknownJob, TimeoutError):
            return gr.skip()  # stopped, and that was said
        if job.info is not None:
            return result_html(texts, job.info)
        if job.error is None or job.state == "cancelled":
            return plain_html(texts.stopped)
        return error_html(texts, sentence(texts, job.error))

    def end(address: str, request: gr.Request) -> tuple[str, str, str]:
        service.jobs.abandon(job_at(address), owner_of_request(request))
        return "", plain_html(texts.stopped), ""

    play.click(None, js=ASK)
    begun = play.click(begin, {*person.components(), *speech.components(), consent}, [address, status], **quiet(concurrency_limit=None))
    begun.then(None, address, None, js=PLAY)
    begun.then(follow, address, captions, **quiet(concurrency_limit=None, trigger_mode="multiple"))
    stop.click(None, js=STOP)
    stop.click(end, address, [address, status, captions], **quiet(queue=False))
    stage.submit(through, None, status, **quiet(concurrency_limit=None))
    return person


def _stage_html(texts: Texts) -> str:
    words = f'data-waiting="{escape(texts.stream_waiting)}" data-first="{escape(texts.stream_first)}"'
    videos = "<video playsinline></video>" * 2
    return f'<div class="th-stage" {words}><div>{videos}</div><p class="th-stage-note" role="status"></p></div>'
