"""The page: components, and what happens when they are used. The work itself is done at the desk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from core.errors import Cancelled, TalkingHeadError
from core.settings import Settings
from core.types import Framing, Generation, RenderOptions
from core.web.desk import Desk, Wish
from core.web.style import SHOW_STATUS
from core.web.texts import ENGLISH, Texts
from core.web.view import error_html, idle_html, plain_html, progress_html, result_html
from core.web.widgets import Page, page_error, photo_input, speech_input, video_output

SIZES = (256, 320, 512, 768)


@dataclass(frozen=True)
class Example:
    """Files a visitor can try without any of their own; they are served from where they lie."""

    photo: Path
    speech: Path
    label: str


@dataclass(frozen=True)
class _Inputs:
    """The components a video is made from."""

    audio: Any
    image: Any
    engine: Any
    size: Any
    seed: Any
    new_seed: Any
    face: Any


def build_page(desk: Desk, settings: Settings, examples: Sequence[Example] = (), texts: Texts = ENGLISH) -> Page:
    """The Generate page and its one endpoint, `/process_talking_head`. Launching it is up to the caller (core/web/server.py)."""
    page = Page(texts, settings, title=texts.title, analytics_enabled=False)
    with page:
        gr.HTML(f'<div class="th-head"><h1>{escape(texts.title)}</h1><p>{escape(texts.subtitle)}</p></div>', elem_classes="th-html")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                inputs = _inputs(desk, texts)
                with gr.Row():
                    generate = gr.Button(texts.generate, variant="primary", elem_id="th-generate")
                    cancel = gr.Button(texts.cancel, variant="stop", visible=False, elem_id="th-cancel")
                if examples:
                    _examples(examples, inputs, texts)
            with gr.Column(min_width=300):
                video = video_output(texts, autoplay=True, buttons=[], height=420, elem_id="th-video")
                status = gr.HTML(idle_html(texts), elem_id="th-status", elem_classes="th-html")
                download = gr.DownloadButton(texts.download, visible=False, elem_id="th-download")
        _wire_page(desk, texts, inputs, generate, cancel, [status, video, download, generate, cancel])
        _wire_endpoint(desk, texts, inputs, video)

        def leave(request: gr.Request) -> None:
            desk.cancel(_owner(request))

        page.load(desk.visited.set, queue=False, show_progress="hidden", api_visibility="private")
        page.unload(leave)
    return page


def _inputs(desk: Desk, texts: Texts) -> _Inputs:
    image = photo_input(texts, height=260, buttons=["fullscreen"], elem_id="th-photo")
    audio = speech_input(texts, buttons=[], elem_id="th-speech")
    with gr.Accordion(texts.options, open=False):
        with gr.Row():
            names = [(texts.engine_named.format(name=name), name) for name in desk.engines()]
            engine = gr.Dropdown([(texts.engine_auto, "auto"), *names], value="auto", label=texts.engine, min_width=140)
            sides = [(texts.size_square.format(px=px), str(px)) for px in SIZES]
            size = gr.Dropdown(
                [*sides, (texts.size_source, "source")],
                value=str(RenderOptions.size),
                label=texts.size,
                info=texts.size_hint,
                allow_custom_value=True,  # any size the options allow may be typed
                min_width=140,
            )
        with gr.Row():
            seed = gr.Number(RenderOptions.seed, label=texts.seed, info=texts.seed_hint, min_width=140)
            face = gr.Number(Framing.face_index, label=texts.face, info=texts.face_hint, min_width=140)
        new_seed = gr.Checkbox(False, label=texts.seed_random, container=False)
    return _Inputs(audio, image, engine, size, seed, new_seed, face)


def _examples(examples: Sequence[Example], inputs: _Inputs, texts: Texts) -> None:
    """A row of buttons that put example files into the inputs."""
    gr.set_static_paths([path for example in examples for path in (example.photo, example.speech)])  # else Gradio keeps copies
    choices = gr.Dataset(
        components=[gr.Textbox(visible=False, render=False)],
        samples=[[example.label] for example in examples],
        label=texts.examples,
        type="index",
        elem_id="th-examples",
    )

    def choose(index: int) -> tuple[str, str]:
        return str(examples[index].photo), str(examples[index].speech)

    choices.click(choose, choices, [inputs.image, inputs.audio], queue=False, show_progress="hidden", api_visibility="private")


def _wire_page(desk: Desk, texts: Texts, inputs: _Inputs, generate: Any, cancel: Any, outputs: list[Any]) -> None:
    """What the two buttons do. A generator shows the progress; that the visitor cancels or leaves closes it, which stops the job."""

    def shown(html: str, *, busy: bool, path: str | None = None) -> tuple[Any, ...]:
        buttons = gr.update(interactive=not busy), gr.update(visible=busy, interactive=True)
        return html, path, gr.update(value=path, visible=path is not None), *buttons

    async def run(
        audio: str | None,
        image: str | None,
        engine: str,
        size: str,
        seed: float | None,
        new_seed: bool,
        face: float | None,
        request: gr.Request,
    ) -> AsyncIterator[tuple[Any, ...]]:
        wish = Wish(audio, image, engine, size, None if new_seed else RenderOptions.seed if seed is None else seed, face)
        try:
            async with aclosing(desk.serve(wish, _owner(request))) as steps:
                async for step in steps:
                    if isinstance(step, Generation):
                        yield shown(result_html(texts, step.info), busy=False, path=str(step.path))
                    else:
                        yield shown(progress_html(texts, step), busy=True)
        except Cancelled:
            yield shown(plain_html(texts.stopped), busy=False)
        except TalkingHeadError as error:
            yield shown(error_html(texts, str(error)), busy=False)
            raise page_error(escape(str(error))) from None
        except Exception:
            yield shown(error_html(texts, texts.unexpected), busy=False)
            raise  # the page logs it and says the same

    def stop(request: gr.Request) -> tuple[Any, Any]:
        desk.cancel(_owner(request))
        return plain_html(texts.stopping), gr.update(interactive=False)

    parts = [inputs.audio, inputs.image, inputs.engine, inputs.size, inputs.seed, inputs.new_seed, inputs.face]
    generate.click(run, parts, outputs, show_progress="hidden", concurrency_limit=None, api_visibility="private")
    generate.click(None, js=SHOW_STATUS)
    cancel.click(stop, None, [outputs[0], cancel], queue=False, show_progress="hidden", api_visibility="private")


def _wire_endpoint(desk: Desk, texts: Texts, inputs: _Inputs, video: Any) -> None:
    """`/process_talking_head`: plain, not a generator, because a client's `result()` is the first value of a generator."""

    async def process_talking_head(
        audio: str | None,
        image: str | None,
        engine: str,
        size: str,
        seed: float | None,
        face: float | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # how Gradio is told that the function reports
    ) -> str:
        wish = Wish(audio, image, engine, size, RenderOptions.seed if seed is None else seed, face)
        try:
            async with aclosing(desk.serve(wish, _owner(request))) as steps:
                async for step in steps:
                    if isinstance(step, Generation):
                        return str(step.path)
                    progress((step.done, step.total or None), desc=texts.stages.get(step.stage, step.stage), unit="frames")
        except TalkingHeadError as error:
            raise page_error(str(error)) from None
        raise AssertionError("the desk ended without a video")

    gr.Button(visible=False).click(
        process_talking_head,
        [inputs.audio, inputs.image, inputs.engine, inputs.size, inputs.seed, inputs.face],
        video,
        api_name="process_talking_head",
        api_description=texts.api_process,
        concurrency_limit=None,
    )


def _owner(request: gr.Request) -> str:
    """One visitor: a browser tab or a client."""
    return f"page:{request.session_hash}"
