"""The tab with the visitor's past videos."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.web.pages.html import human_bytes, plain_html, results_html
from core.web.pages.tabs.common import Context, visitor
from core.web.pages.widgets import quiet


def build_results(context: Context, tab: Any) -> None:
    """Fills the tab; the list is read whenever it is opened."""
    desk, texts = context.desk, context.texts
    listed = gr.HTML(elem_id="th-results", elem_classes="th-html")
    with gr.Row():
        refresh = gr.Button(texts.results_refresh, min_width=150, scale=0, elem_id="th-results-refresh")
        delete = gr.Button(texts.results_delete, variant="stop", min_width=150, scale=0, elem_id="th-results-delete")
    sure = gr.State(False)

    def show(request: gr.Request) -> list[Any]:
        html = results_html(texts, desk.history.of(visitor(request).owner), desk.settings.output_ttl_s)
        return [html, gr.update(value=texts.results_delete), False]

    def forget(confirmed: bool, request: gr.Request) -> list[Any]:
        if not confirmed:
            return [gr.skip(), gr.update(value=texts.results_delete_sure), True]
        freed = desk.history.forget(visitor(request).owner)
        return [plain_html(texts.results_deleted.format(size=human_bytes(freed))), gr.update(value=texts.results_delete), False]

    outputs = [listed, delete, sure]
    tab.select(show, None, outputs, **quiet(queue=False))
    refresh.click(show, None, outputs, **quiet(queue=False))
    delete.click(forget, sure, outputs, **quiet(queue=False))
