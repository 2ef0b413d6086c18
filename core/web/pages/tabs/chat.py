"""The Chat tab: who answers and with which voice is chosen once; the conversation itself is static/chat.js and the page's sockets
(core/web/live/page_sockets.py).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from html import escape
from typing import Any

import gradio as gr

from core.web.pages.error_texts import sentence
from core.web.pages.html import error_html, note_html, plain_html
from core.web.pages.scripts import script
from core.web.pages.tabs.common import Context, owner_of_request
from core.web.pages.tabs.live_person import LivePerson, live_person
from core.web.pages.texts import Texts
from core.web.pages.voices import voice_choices
from core.web.pages.widgets import kept_text, quiet

START = "(settings) => window.talkingHeadChat.start(settings)"


def build_chat(context: Context) -> LivePerson:
    """The tab; returns what a visitor puts in."""
    service, texts = context.service, context.texts
    voices = voice_choices(texts, service.speaker.voices())
    with gr.Column(elem_id="th-chat", elem_classes="th-plain-column"):
        with gr.Column(elem_id="th-chat-setup", elem_classes="th-plain-column"):
            gr.HTML(note_html(texts.chat["intro"]), elem_classes="th-html")
            if not voices:
                gr.HTML(note_html(texts.chat["no_voices"]), elem_classes="th-html th-inset", elem_id="th-chat-no-voices")
            with gr.Column(elem_classes="th-plain-column", visible=bool(voices)):
                speaker = live_person(context, "th-chat", lambda: _answers(context, voices))
            start = gr.Button(texts.chat["start"], variant="primary", elem_id="th-chat-start")
            status = gr.HTML(elem_id="th-chat-status", elem_classes="th-html")
        code = script("face.js", "clips.js", "microphone.js", "voice.js", "speech.js", "chat_log.js", "chat_socket.js", "chat.js")
        panel = _panel_html(texts, service.recognition.available)
        gr.HTML(panel, js_on_load=code, elem_id="th-chat-panel", elem_classes="th-html")
    settings = kept_text()

    async def begin(values: dict[Any, Any], request: gr.Request) -> AsyncIterator[tuple[str, str]]:
        """What the script is to start with, as JSON; "" and why not, where it cannot."""
        yield "", plain_html(texts.chat["preparing"])
        try:
            chosen: dict[str, Any] = {"mode": "text", "voice": ""}
            if voices:
                chosen = await speaker.start(context, values, owner_of_request(request))
                chosen |= {"mode": "clips" if values[speaker.more["way"]] == "clips" else "live"}
                chosen |= {"voice": str(values[speaker.more["voice"]] or "")}
        except Exception as error:
            yield "", error_html(texts, sentence(texts, error))
            return
        yield json.dumps({**chosen, "language": _language(context, chosen["voice"])}), ""

    start.click(begin, speaker.draft_inputs(), [settings, status], **quiet(concurrency_limit=None)).then(None, settings, None, js=START)
    return speaker


def _answers(context: Context, voices: list[tuple[str, str]]) -> dict[str, Any]:
    """How the person answers, and with which voice."""
    wanted, ids, texts = context.service.settings.voice, [id for _, id in voices], context.texts
    first = wanted if wanted in ids else next(iter(ids), None)
    voice = gr.Dropdown(voices, value=first, label=texts.voice, elem_id="th-chat-voice")
    ways = [(texts.chat["way_live"], "live"), (texts.chat["way_clips"], "clips")]
    return {"voice": voice, "way": gr.Radio(ways, value="live", label=texts.chat["way"], elem_id="th-chat-way")}


def _language(context: Context, voice: str) -> str:
    """In which the browser listens: the voice's, or else the page's."""
    known = next((each.language for each in context.service.speaker.voices() if each.id == voice), "")
    return known or context.texts.language


def _panel_html(texts: Texts, recognition: bool) -> str:
    """recognition: what is spoken is recognised by a service of the server's."""
    said = {name: escape(str(word)) for name, word in texts.chat.items()}
    words = escape(json.dumps({**texts.chat, "page": texts.language, "service": recognition, "notices": dict(texts.notices)}))
    buttons = "".join(
        f'<button type="{kind}" data-do="{name}"{more}>{said[name]}</button>'
        for name, kind, more in (("send", "submit", ""), ("stop", "button", " disabled"), ("speak", "button", ' aria-pressed="false"'))
    )
    return (
        f'<div class="th-chat" data-words="{words}">'
        '<div class="th-chat-face"><video playsinline></video><video playsinline></video><video playsinline></video></div>'
        '<div class="th-chat-talk">'
        f'<div class="th-chat-head"><p class="th-chat-partner"></p><button type="button" data-do="anew">{said["anew"]}</button></div>'
        f'<div class="th-chat-log" role="log" aria-live="polite" aria-label="{said["log"]}" tabindex="0"></div>'
        '<p class="th-chat-note" role="status"></p>'
        f'<form><textarea rows="2" maxlength="4000" aria-label="{said["write"]}" placeholder="{said["hint"]}"></textarea>'
        f'<div class="th-chat-buttons">{buttons}</div></form>'
        '<p class="th-quiet th-chat-latency"></p><p class="th-quiet th-chat-microphone"></p>'
        '<p class="th-quiet th-chat-warned"></p></div></div>'
    )
