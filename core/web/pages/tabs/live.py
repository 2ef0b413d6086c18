"""The Live tab: who is moved is chosen once; then the visitor's voice moves the face (static/live.js) over the page's own socket
(core/web/live/page_sockets.py).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from html import escape
from typing import Any
from urllib.parse import quote

import gradio as gr

from core.request import RenderOptions
from core.service.options import whole_number
from core.web.pages.error_texts import sentence
from core.web.pages.html import error_html, note_html, plain_html
from core.web.pages.player_html import player_html
from core.web.pages.scripts import WORKLET, script
from core.web.pages.tabs.common import Context, owner_of_request
from core.web.pages.tabs.live_person import LivePerson, live_person
from core.web.pages.texts import Texts
from core.web.pages.widgets import kept_text, quiet

ASK, START = "() => window.talkingHeadLive.ask()", "(settings) => window.talkingHeadLive.start(settings)"
SIZES = (256, 320, 512)
"""Larger ones are not drawn in time everywhere."""
SCRIPTS = ("face.js", "peers.js", "microphone.js", "capture.js", "delay.js", "player_bar.js", "live.js")


def build_live(context: Context) -> LivePerson:
    """The tab; returns what a visitor puts in."""
    texts = context.texts
    with gr.Column(elem_id="th-live", elem_classes="th-plain-column"):
        with gr.Column(elem_id="th-live-setup", elem_classes="th-plain-column"):
            gr.HTML(note_html(texts.live["intro"]), elem_classes="th-html")
            moved = live_person(context, "th-live", lambda: {"size": _size(texts)})
            start = gr.Button(texts.live["start"], variant="primary", elem_id="th-live-start")
            status = gr.HTML(elem_id="th-live-status", elem_classes="th-html")
            gr.HTML(note_html(texts.live["needs"]), elem_classes="th-html")
        panel = _panel_html(texts, context.service.webrtc is not None)
        gr.HTML(panel, js_on_load=script(*SCRIPTS), elem_id="th-live-panel", elem_classes="th-html")
    heard, settings = kept_text(), kept_text()

    async def begin(values: dict[Any, Any], request: gr.Request) -> AsyncIterator[tuple[str, str]]:
        """What the script is to start with, as JSON; "" and why not, where it cannot."""
        if not values[heard]:
            yield "", ""  # the script says what is missing
            return
        yield "", plain_html(texts.live["preparing"])
        try:
            chosen = await moved.start(context, values, owner_of_request(request))
            chosen["options"]["size"] = whole_number(values[moved.more["size"]], "size")
        except Exception as error:
            yield "", error_html(texts, sentence(texts, error))
            return
        yield json.dumps(chosen), ""

    asked = start.click(None, None, heard, js=ASK)
    begun = asked.then(begin, {*moved.draft_inputs(), heard}, [settings, status], **quiet(concurrency_limit=None))
    begun.then(None, settings, None, js=START)
    return moved


def _size(texts: Texts) -> Any:
    sides = [(f"{px} × {px}", px) for px in SIZES]
    return gr.Dropdown(sides, value=int(RenderOptions.size), label=texts.live["size"], elem_id="th-live-size")


def _panel_html(texts: Texts, webrtc: bool) -> str:
    said = {name: escape(str(word)) for name, word in texts.live.items()}
    words = escape(json.dumps({**texts.live, "page": texts.language, "notices": dict(texts.notices)}))
    sides = "".join(f'<option value="{px}">{px} × {px}</option>' for px in SIZES)
    buttons = "".join(
        f'<button type="button" data-do="{name}"{more}>{said[name]}</button>'
        for name, more in (("stop", ""), ("mute", ' aria-pressed="false"'), ("interrupt", ""), ("sound", ' aria-pressed="false"'))
    )
    return (
        f'<div class="th-live"{" data-peers" if webrtc else ""} data-words="{words}" '
        f'data-worklet="gradio_api/file={escape(quote(str(WORKLET)))}">'
        f"{player_html(texts, '<video playsinline></video>', pausable=False)}"
        f'<div class="th-live-side"><p class="th-live-note" role="status"></p><div class="th-live-buttons">{buttons}</div>'
        f'<p class="th-quiet th-live-sound" hidden>{said["sound_note"]}</p>'
        f'<meter class="th-live-level" min="0" max="1" value="0" aria-label="{said["level"]}"></meter>'
        f"<label>{said['size']} <select>{sides}</select></label>"
        '<p class="th-quiet th-live-delay"></p><p class="th-quiet th-live-way"></p><p class="th-quiet th-live-warned"></p></div></div>'
    )
