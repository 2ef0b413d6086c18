"""What is asked for of a recording's captions as the page is opened: those that the recogniser is good for in the page's language."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import pytest

from core.service.outputs import OutputFolder
from core.service.service import Service
from core.speech_recognition import sphinx
from core.studio import Studio
from core.web.pages.tabs.common import Context, PageContents
from core.web.pages.tabs.speech_input import SpeechInputs, speech_inputs
from core.web.pages.texts import Texts
from core.web.pages.texts_de import GERMAN
from core.web.pages.texts_en import ENGLISH

SERVICE = {"recognition_url": "http://127.0.0.1:1/v1"}
Pages = Callable[..., SpeechInputs]


@pytest.fixture
def page(open_again: Callable[..., Studio]) -> Iterator[Pages]:
    opened: list[Service] = []

    def build(texts: Texts, **settings: Any) -> SpeechInputs:
        studio = open_again(**settings)
        opened.append(Service(studio, OutputFolder(studio.settings.output_dir / "videos", 3600.0)))
        context = Context(opened[-1], PageContents(), texts)

        async def built() -> SpeechInputs:  # Gradio asks for an event loop
            with gr.Blocks():
                return speech_inputs(context)

        return asyncio.run(built())

    yield build
    for service in opened:
        service.close(0.0)


@pytest.mark.parametrize(
    ("texts", "about", "ticked"),
    [
        (ENGLISH, {"caption_recordings": True}, True),
        (GERMAN, {"caption_recordings": True}, False),
        (GERMAN, {"caption_recordings": True, **SERVICE}, True),
        (ENGLISH, {"caption_recordings": False, **SERVICE}, False),
    ],
)
def test_the_box_is_ticked_where_captions_will_be_good(page: Pages, texts: Texts, about: dict[str, Any], ticked: bool) -> None:
    inputs = page(texts, **about)
    assert inputs.recognised is not None
    assert inputs.recognised.value is ticked
    values = {inputs.kind: "recording", inputs.recording: None, inputs.burned: False, inputs.recognised: ticked}
    assert inputs.given(values)["captions"] is ticked


def test_without_a_recogniser_there_is_no_box(page: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx, "is_installed", lambda: False)
    assert page(ENGLISH, caption_recordings=True).recognised is None
