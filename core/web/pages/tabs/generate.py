"""Making a video: who speaks, what is said, how; then progress, the video and its figures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from core.errors import Cancelled, TalkingHeadError
from core.service.requests import Wish
from core.types import Generation
from core.web.pages.html import error_html, idle_html, note_html, plain_html, progress_html, result_html
from core.web.pages.style import SHOW_STATUS
from core.web.pages.tabs.common import Context, Example, visitor
from core.web.pages.tabs.controls import ControlInputs, control_inputs
from core.web.pages.tabs.person import PersonInputs, person_inputs
from core.web.pages.texts import Texts
from core.web.pages.widgets import page_error, quiet, speech_input, video_output


@dataclass(frozen=True)
class GenerateTab:
    """The components that other parts reach: who speaks, and what is shown of a finished video (`last_result` updates it)."""

    person: PersonInputs
    result: list[Any]


def build_generate(context: Context) -> GenerateTab:
    texts = context.texts
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            person = person_inputs(context)
            speech = speech_input(texts, buttons=[], elem_id="th-speech")
            controls = control_inputs(context)
            consent = gr.Checkbox(False, label=texts.consent, container=False, visible=context.desk.settings.require_consent)
            with gr.Row():
                generate = gr.Button(texts.generate, variant="primary", elem_id="th-generate")
                cancel = gr.Button(texts.cancel, variant="stop", visible=False, elem_id="th-cancel")
            if context.contents.examples:
                _examples(context.contents.examples, person, speech, texts)
        with gr.Column(min_width=300):
            video = video_output(texts, autoplay=True, buttons=[], height=420, elem_id="th-video")
            status = gr.HTML(idle_html(texts), elem_id="th-status", elem_classes="th-html")
            download = gr.DownloadButton(texts.download, visible=False, elem_id="th-download")
            if context.desk.settings.label:
                gr.HTML(note_html(texts.label_note), elem_classes="th-html")
    inputs = _Inputs(person, speech, controls, consent)
    _wire(context, inputs, generate, cancel, [status, video, download, generate, cancel])
    return GenerateTab(person, [status, video, download])


def last_result(context: Context, owner: str) -> list[Any]:
    """Updates of `GenerateTab.result`: the owner's latest video, so that it survives that the page is loaded again."""
    results = context.desk.history.of(owner)
    if not results:
        return [idle_html(context.texts), None, gr.update(visible=False)]
    path = str(results[0].path)
    return [result_html(context.texts, results[0].info, context.texts.results_again), path, gr.update(value=path, visible=True)]


@dataclass(frozen=True)
class _Inputs:
    person: PersonInputs
    speech: Any
    controls: ControlInputs
    consent: Any

    def components(self) -> set[Any]:
        return {*self.person.components(), self.speech, *self.controls.components(), self.consent}

    def wish(self, values: Mapping[Any, Any], context: Context) -> Wish:
        token, engine = values[self.person.token], values[self.controls.engine]
        options = self.controls.options(values, context.desk.capabilities(engine))
        if not token:
            options["face_index"] = values[self.person.picked.face]
        image = None if token else values[self.person.picked.photo]
        return Wish(values[self.speech], image, token, engine, options, values[self.consent])


def _examples(examples: Sequence[Example], person: PersonInputs, speech: Any, texts: Texts) -> None:
    """A row of buttons that put example files into the inputs."""
    choices = gr.Dataset(
        components=[gr.Textbox(visible=False, render=False)],
        samples=[[texts.example.format(seconds=example.seconds)] for example in examples],
        label=texts.examples,
        type="index",
        elem_id="th-examples",
    )

    def choose(index: int, token: str) -> tuple[Any, str]:
        return gr.skip() if token else str(examples[index].photo), str(examples[index].speech)

    choices.click(choose, [choices, person.token], [person.picked.photo, speech], **quiet(queue=False))


def _wire(context: Context, inputs: _Inputs, generate: Any, cancel: Any, outputs: list[Any]) -> None:
    """What the two buttons do. A generator shows the progress; that the visitor cancels or leaves closes it, which stops the job."""
    desk, texts = context.desk, context.texts

    def shown(html: str, *, busy: bool, path: str | None = None) -> tuple[Any, ...]:
        buttons = gr.update(interactive=not busy), gr.update(visible=busy, interactive=True)
        return html, path, gr.update(value=path, visible=path is not None), *buttons

    async def run(values: dict[Any, Any], request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        try:
            async with aclosing(desk.serve(inputs.wish(values, context), visitor(request), texts)) as steps:
                async for step in steps:
                    if isinstance(step, Generation):
                        yield shown(result_html(texts, step.info), busy=False, path=str(step.path))
                    else:
                        yield shown(progress_html(texts, step), busy=True)
        except Cancelled:
            yield shown(plain_html(texts.stopped), busy=False)
        except TalkingHeadError as error:
            yield shown(error_html(texts, str(error)), busy=False)
            raise page_error(escape(str(error)), texts.error) from None
        except Exception:
            yield shown(error_html(texts, texts.unexpected), busy=False)
            raise  # the page logs it and says the same

    def stop(request: gr.Request) -> tuple[Any, Any]:
        desk.tickets.cancel(visitor(request).tab)
        return plain_html(texts.stopping), gr.update(interactive=False)

    generate.click(run, inputs.components(), outputs, **quiet(concurrency_limit=None))
    generate.click(None, js=SHOW_STATUS)
    cancel.click(stop, None, [outputs[0], cancel], **quiet(queue=False))
