"""The tab with the visitor's past videos."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.web.pages.html import human_bytes, plain_html, videos_html
from core.web.pages.tabs.common import Context, owner_of_request
from core.web.pages.widgets import kept_text, quiet

_EMPTY = "none"


class VideosTab:
    """Fills the tab; the list is read whenever it is opened, and from then on when it changes."""

    def __init__(self, context: Context, tab: Any) -> None:
        self._context = context
        texts = context.texts
        self._listed = gr.HTML(elem_id="th-results", elem_classes="th-html")
        self._version = kept_text()
        """Which videos are listed; "" before the tab was opened."""
        with gr.Row():
            refresh = gr.Button(texts.results_refresh, min_width=150, scale=0, elem_id="th-results-refresh")
            delete = gr.Button(texts.results_delete, variant="stop", min_width=150, scale=0, elem_id="th-results-delete")
        sure = gr.Checkbox(False, visible=False)

        def show(request: gr.Request) -> list[Any]:
            return [*self._shown(owner_of_request(request)), gr.update(value=texts.results_delete), False]

        def forget(confirmed: bool, request: gr.Request) -> list[Any]:
            if not confirmed:
                return [gr.skip(), gr.skip(), gr.update(value=texts.results_delete_sure), True]
            freed = context.service.videos.forget(owner_of_request(request))
            deleted = plain_html(texts.results_deleted.format(size=human_bytes(freed)))
            return [deleted, _EMPTY, gr.update(value=texts.results_delete), False]

        outputs = [*self.outputs(), delete, sure]
        tab.select(show, None, outputs, **quiet(queue=False))
        refresh.click(show, None, outputs, **quiet(queue=False))
        delete.click(forget, sure, outputs, **quiet(queue=False))

    def follows(self) -> list[Any]:
        """The components that `followed` reads."""
        return [self._version]

    def outputs(self) -> list[Any]:
        """The components that `followed` updates."""
        return [self._listed, self._version]

    def followed(self, owner: str, version: str) -> list[Any]:
        """The list where another is shown; a video that plays in it goes on otherwise."""
        shown = self._shown(owner)
        return shown if version and version != shown[1] else [gr.skip(), gr.skip()]

    def _shown(self, owner: str) -> list[Any]:
        service, texts = self._context.service, self._context.texts
        videos = service.videos.of(owner)
        version = " ".join(video.id for video in videos) or _EMPTY
        return [videos_html(texts, videos, service.settings.output_ttl_s), version]
