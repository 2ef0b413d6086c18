"""The Stream tab: the video plays while it is made; our own player (core/web/pages/static/player.js), nothing from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from core.errors import Cancelled, TalkingHeadError
from core.service.requests import Wish
from core.web.pages.html import error_html, note_html, plain_html, result_html
from core.web.pages.tabs.common import Context, visitor
from core.web.pages.tabs.person import PersonInputs, person_inputs
from core.web.pages.texts import Texts
from core.web.pages.widgets import page_error, quiet, speech_input

PLAYER = Path(__file__).resolve().parents[1] / "static" / "player.js"
ASK, PLAY, STOP = "() => window.talkingHead.ask()", "(address) => window.talkingHead.play(address)", "() => window.talkingHead.stop()"


def build_stream(context: Context) -> PersonInputs:
    """The tab; returns who speaks, where an avatar can be chosen."""
    desk, texts = context.desk, context.texts
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            gr.HTML(note_html(texts.stream_intro), elem_classes="th-html")
            person = person_inputs(context, "th-stream")
            speech = speech_input(texts, buttons=[], elem_id="th-stream-speech")
            consent = gr.Checkbox(False, label=texts.consent, container=False, visible=desk.settings.require_consent)
            with gr.Row():
                play = gr.Button(texts.stream_play, variant="primary", elem_id="th-stream-play")
                stop = gr.Button(texts.stream_stop, variant="stop", elem_id="th-stream-stop")
        with gr.Column(min_width=300):
            script = PLAYER.read_text(encoding="utf-8")
            stage = gr.HTML(_stage_html(texts), js_on_load=script, elem_id="th-stage", elem_classes="th-html")
            status = gr.HTML(elem_id="th-stream-status", elem_classes="th-html")
    address = gr.Textbox(visible=False)

    async def begin(values: dict[Any, Any], request: gr.Request) -> AsyncIterator[tuple[str, str]]:
        token = values[person.token]
        options = {} if token else {"face_index": values[person.picked.face]}
        image = None if token else values[person.picked.photo]
        wish = Wish(values[speech], image, token, options=options, consent=values[consent])
        try:
            yield await desk.stream(wish, visitor(request), texts), ""
        except Cancelled:
            yield "", plain_html(texts.stopped)
        except TalkingHeadError as error:
            yield "", error_html(texts, str(error))
            raise page_error(escape(str(error)), texts.error) from None
        except Exception:
            yield "", error_html(texts, texts.unexpected)
            raise  # the page logs it and says the same

    def through(event: gr.EventData, request: gr.Request) -> Any:
        """What came out, when the player has it all or can get no more."""
        pieces = desk.streams.of(str(event._data.get("address", "")), visitor(request).tab)
        if pieces is None or not pieces.job.wait(1.0):
            return gr.skip()  # stopped, and that was said
        try:
            return result_html(texts, pieces.job.result())
        except Cancelled:
            return plain_html(texts.stopped)
        except TalkingHeadError as error:
            return error_html(texts, str(error))
        except Exception:  # it was logged where the stream broke off
            return error_html(texts, texts.unexpected)

    def end(request: gr.Request) -> tuple[str, str]:
        desk.leave(visitor(request).tab)
        return "", plain_html(texts.stopped)

    play.click(None, js=ASK)
    begun = play.click(begin, {*person.components(), speech, consent}, [address, status], **quiet(concurrency_limit=None))
    begun.then(None, address, None, js=PLAY)
    stop.click(None, js=STOP)
    stop.click(end, None, [address, status], **quiet(queue=False))
    stage.submit(through, None, status, **quiet(concurrency_limit=None))
    return person


def _stage_html(texts: Texts) -> str:
    words = f'data-waiting="{escape(texts.stream_waiting)}" data-first="{escape(texts.stream_first)}"'
    videos = "<video playsinline></video>" * 2
    return f'<div class="th-stage" {words}><div>{videos}</div><p class="th-stage-note" role="status"></p></div>'
