"""The box of the Status tab in which a video is checked for the marks of synthetic ones."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import gradio as gr

from core.errors import TalkingHeadError
from core.provenance.disclosure import says_synthetic
from core.provenance.reading import Provenance
from core.web.pages.error_texts import sentence
from core.web.pages.html import error_html, paragraph_html, plain_html, table_html
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.texts import Texts
from core.web.pages.widgets import quiet, video_file

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def build_detect(context: Context) -> None:
    """A file goes in, what is known of it comes out."""
    texts, detection = context.texts, context.service.detection
    gr.HTML(paragraph_html(texts.detect_title, texts.detect_hint), elem_classes="th-html")
    video = video_file(texts.detect_file, elem_id="th-detect", height=140)
    said = gr.HTML(elem_id="th-detected", elem_classes="th-html")

    async def check(path: str | None, request: gr.Request) -> AsyncIterator[str]:
        file = uploaded(path)
        if file is None:
            yield ""
            return
        yield plain_html(texts.detect_looking)
        owner = owner_of_request(request)
        try:
            detection.check_room(owner)
            yield detected_html(texts, await detection.read(file, owner))
        except TalkingHeadError as error:
            yield error_html(texts, sentence(texts, error))

    video.upload(check, video, said, **quiet(concurrency_limit=context.service.settings.max_detections))
    video.clear(lambda: "", None, said, **quiet(queue=False))


def detected_html(texts: Texts, found: Provenance) -> str:
    """The verdict, and what it rests on."""
    manifest = "none" if found.manifest is None else found.manifest.state
    rows = [
        (texts.detect_mark, _mark(texts, found)),
        (texts.detect_metadata, texts.detect_metadata_states[says_synthetic(found.metadata)]),
        (texts.detect_manifest, texts.detect_manifest_states[manifest]),
    ]
    return plain_html(texts.detect_yes if found.synthetic else texts.detect_no) + table_html("", rows)


def _mark(texts: Texts, found: Provenance) -> str:
    mark = found.mark
    if mark is None or not mark.found:
        return texts.detect_mark_absent if found.mark_error is None else sentence(texts, found.mark_error)
    power = int(-math.log10(max(mark.chance, 1e-300)))
    said = texts.detect_mark_found.format(videos=f"10{str(power).translate(_RAISED)}")
    return said if mark.payload is None else said + texts.detect_mark_id.format(id=f"{mark.payload:08x}")
