"""The choice of what is said: a recording, or a text that one of the voices speaks, which can be heard before a video is made of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.errors import Cancelled, TalkingHeadError
from core.request import MAX_TRANSCRIPT_CHARS
from core.speech_recognition import sphinx
from core.speech_synthesis.base import MAX_SPEED, MIN_SPEED
from core.web.pages.client_jobs import while_asked_for
from core.web.pages.error_texts import sentence
from core.web.pages.html import error_html, note_html, plain_html, unusable_recording_html, warnings_html
from core.web.pages.sharing_html import recorder_html
from core.web.pages.speech_html import heard_html
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.texts import Texts
from core.web.pages.voices import sample_sentence, voice_choices
from core.web.pages.widgets import quiet, speech_input

RECORDING, TEXT = "recording", "text"
USUAL_SPEED = 1.0


@dataclass(frozen=True)
class SpeechInputs:
    """The components of what is said. kind: RECORDING or TEXT, which of the others count. written: text, voice and speed by name; empty
    where there are no voices. burned: whether the words are drawn into the picture. recognised: whether a
    recording gets captions; None where there is no recogniser. transcript: what is said in a recording; None where it cannot be aligned.
    voices: ids of those that can be chosen.
    """

    kind: Any
    recording: Any
    written: Mapping[str, Any]
    burned: Any
    recognised: Any | None
    transcript: Any | None
    voices: frozenset[str]

    def components(self) -> set[Any]:
        return {*self.outputs()}

    def outputs(self) -> list[Any]:
        """What `restored` updates."""
        known = [each for each in (self.recognised, self.transcript) if each is not None]
        return [self.kind, self.recording, *self.written.values(), self.burned, *known]

    def given(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """The part of `VideoInputs` that says what is said."""
        if values[self.kind] != TEXT:
            asked = self.recognised is not None and values[self.recognised] is True
            return {"audio": uploaded(values[self.recording]), "captions": asked}
        written = {name: values[component] for name, component in self.written.items()}
        return {"audio": None, **written, "text": written.get("text") or "", "voice": written.get("voice") or ""}

    def options(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Those of the video that belong to what is said."""
        burned = values[self.burned] and (self.recognised is not None or values[self.kind] == TEXT)
        said = (values[self.transcript] or "").strip() if self.transcript is not None and values[self.kind] != TEXT else ""
        return {**({"burn_captions": True} if burned else {}), **({"transcript": said} if said else {})}

    def chosen(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What is set, so that `restored` can set it again."""
        written = {name: values[component] for name, component in self.written.items()}
        recording = values[self.recording] or ""
        asked = self.recognised is not None and values[self.recognised] is True
        chosen = {"speech_kind": values[self.kind], "speech": recording, "written": written}
        said = "" if self.transcript is None else values[self.transcript] or ""
        return {**chosen, "burned": values[self.burned], "recognised": asked, "transcript": said}

    def restored(self, state: Mapping[str, Any]) -> list[Any]:
        """Updates of `outputs`. state: as `chosen` made it; a recording or a voice that is gone is left out."""
        recording = uploaded(state.get("speech"))
        written = dict(state.get("written", {}))
        if written.get("voice") not in self.voices:
            written.pop("voice", None)
        return [
            gr.update(value=state["speech_kind"]) if state.get("speech_kind") in (RECORDING, TEXT) else gr.skip(),
            gr.update(value=str(recording)) if recording is not None and recording.is_file() else gr.skip(),
            *(gr.update(value=written[name]) if name in written else gr.skip() for name in self.written),
            *(
                gr.update(value=state[name] is True) if name in state else gr.skip()
                for name in ("burned", "recognised")[: 1 if self.recognised is None else 2]
            ),
            *([] if self.transcript is None else [gr.update(value=str(state["transcript"])) if "transcript" in state else gr.skip()]),
        ]


def speech_inputs(context: Context, name: str = "th") -> SpeechInputs:
    """name: what the ids of its parts begin with."""
    texts = context.texts
    kinds = [(texts.speech_recording, RECORDING), (texts.speech_text, TEXT)]
    kind = gr.Radio(kinds, value=RECORDING, label=texts.speech, show_label=False, container=False, elem_id=f"{name}-kind")
    with gr.Column(elem_classes="th-plain-column") as recorded:
        recording = speech_input(texts, buttons=[], elem_id=f"{name}-speech")
        gr.HTML(recorder_html(texts, f"{name}-speech"), elem_classes="th-html th-touch")
        _tell_what_is_wrong(context, recording)
        transcript = _transcript(texts, name) if sphinx.is_installed() else None
    with gr.Column(elem_classes="th-plain-column th-written", visible=False) as text:
        voices = voice_choices(texts, context.service.speaker.voices())
        written = _written(context, name, voices) if voices else {}
        if not voices:
            gr.HTML(note_html(texts.speech_missing), elem_classes="th-html th-inset", elem_id=f"{name}-no-voices")

    words, recognised = context.service.recorded_words, None
    hears = words.available
    with gr.Row(equal_height=True, elem_classes="th-choices"):
        if hears:
            usual = context.service.settings.caption_recordings and words.understands(texts.language)
            recognised = gr.Checkbox(usual, label=texts.captions_recording, container=False, elem_id=f"{name}-recognise")
        burned = gr.Checkbox(False, label=texts.captions_burn, container=False, visible=hears, elem_id=f"{name}-burn")

    def shown(chosen: str) -> list[Any]:
        by_voice = chosen == TEXT
        both = [gr.update(visible=not by_voice)] if hears else []
        return [gr.update(visible=not by_voice), gr.update(visible=by_voice), gr.update(visible=bool(voices) if by_voice else hears), *both]

    captions = [burned] if recognised is None else [burned, recognised]
    kind.change(shown, kind, [recorded, text, *captions], **quiet(queue=False))
    return SpeechInputs(kind, recording, written, burned, recognised, transcript, frozenset(id for _, id in voices))


def _tell_what_is_wrong(context: Context, recording: Any) -> None:
    """Below a recording, as soon as there is one."""
    texts = context.texts
    said = gr.HTML(visible=False, elem_classes="th-html")

    async def listened(path: str | None) -> Any:
        given = uploaded(path)
        try:
            html = "" if given is None else warnings_html(texts, await context.service.recording_checks.warnings(given))
        except TalkingHeadError as error:
            html = unusable_recording_html(texts, error)
        return gr.update(value=html, visible=bool(html))

    recording.change(listened, recording, said, **quiet(concurrency_limit=None, trigger_mode="always_last"))


def _transcript(texts: Texts, name: str) -> Any:
    return gr.Textbox(
        label=texts.transcript, placeholder=texts.transcript_hint, lines=1, max_lines=6, max_length=MAX_TRANSCRIPT_CHARS,
        elem_id=f"{name}-transcript",
    )  # fmt: skip


def _written(context: Context, name: str, voices: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Text, voice and speed, and what is needed to hear them. voices: label and id of each."""
    texts, limit = context.texts, context.service.settings.max_text_chars
    text = gr.Textbox(label=texts.text, placeholder=texts.text_hint, lines=3, max_lines=8, elem_id=f"{name}-text")
    counter = gr.HTML(note_html(texts.text_count.format(n=0, limit=limit)), elem_classes="th-html th-count")
    with gr.Row():
        voice = gr.Dropdown(voices, value=_first(context, voices), label=texts.voice, min_width=220, elem_id=f"{name}-voice")
        speed = gr.Slider(MIN_SPEED, MAX_SPEED, USUAL_SPEED, step=0.05, label=texts.speed, min_width=160, elem_id=f"{name}-speed")
    with gr.Row():
        listen = gr.Button(texts.listen, size="md", min_width=100, elem_id=f"{name}-listen")
        sample = gr.Button(texts.listen_voice, size="md", min_width=100, elem_id=f"{name}-sample")
        stop = gr.Button(texts.listen_stop, size="md", min_width=100, variant="stop", visible=False, elem_id=f"{name}-listen-stop")
    heard = gr.HTML(elem_id=f"{name}-heard", elem_classes="th-html")
    text.change(None, text, counter, js=_count_js(texts, limit), **quiet())
    written = {"text": text, "voice": voice, "speed": speed}
    _wire(context, written, listen, sample, stop, heard)
    return written


def _first(context: Context, voices: Sequence[tuple[str, str]]) -> str:
    """The deployment's own, or else the best of the page's language."""
    wanted, ids = context.service.settings.voice, [id for _, id in voices]
    return wanted if wanted in ids else ids[0]


def _wire(context: Context, written: Mapping[str, Any], listen: Any, sample: Any, stop: Any, heard: Any) -> None:
    """Speaks what was written, or the sample of the voice, until that is stopped."""
    service, texts = context.service, context.texts
    buttons = [listen, sample, stop]

    def begin() -> list[Any]:
        return [plain_html(texts.listening), *_buttons(busy=True)]

    async def speak(text: str, voice: str, speed: float, request: gr.Request) -> AsyncIterator[list[Any]]:
        """It is heard from its first piece on, and can be stopped until its last one is there."""
        owner = owner_of_request(request)
        try:
            heard = await while_asked_for(service.listening.begin(text or "", voice or "", speed, owner))
            yield [heard_html(texts, heard.token), *_buttons(busy=True)]
            await while_asked_for(heard.whole())
        except Cancelled:
            yield [gr.skip(), *_buttons(busy=False)]  # it was stopped, or something else is spoken by now
        except Exception as error:
            yield [error_html(texts, sentence(texts, error)), *_buttons(busy=False)]
        else:
            yield [gr.skip(), *_buttons(busy=False)]

    async def speak_sample(voice: str, speed: float, request: gr.Request) -> AsyncIterator[list[Any]]:
        known = next((each for each in service.speaker.voices() if each.id == voice), None)
        async for shown in speak("" if known is None else sample_sentence(known), voice, speed, request):
            yield shown

    def end(request: gr.Request) -> list[Any]:
        service.listening.stop(owner_of_request(request))
        return ["", *_buttons(busy=False)]

    said = list(written.values())
    outputs = [heard, *buttons]
    listen.click(begin, None, outputs, **quiet(queue=False)).then(speak, said, outputs, **quiet(concurrency_limit=None))
    sample.click(begin, None, outputs, **quiet(queue=False)).then(speak_sample, said[1:], outputs, **quiet(concurrency_limit=None))
    stop.click(end, None, outputs, **quiet(queue=False))


def _buttons(busy: bool) -> list[Any]:
    return [gr.update(interactive=not busy), gr.update(interactive=not busy), gr.update(visible=busy)]


def _count_js(texts: Texts, limit: int) -> str:
    """Counts as the server does: characters, not the units of JavaScript's strings."""
    empty = note_html(texts.text_count.format(n="%N", limit=limit))
    return (
        f"(text) => {{ const n = [...(text || '')].length; const html = {json.dumps(empty)}.replace('%N', n);"
        f" return n > {limit} ? html.replace('th-quiet', 'th-quiet th-over') : html; }}"
    )
