"""The page, in every language: parts (core/web/parts) put together. The work itself is done at the desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from core.service.avatars import Shelf
from core.service.requests import Desk
from core.web.pages.endpoints import build_endpoints, build_process
from core.web.pages.html import head_html, ready_html
from core.web.pages.languages import LANGUAGES
from core.web.pages.tabs.avatars import AvatarsTab
from core.web.pages.tabs.common import Context, PageContents, visitor
from core.web.pages.tabs.generate import build_generate, last_result
from core.web.pages.tabs.status import build_about
from core.web.pages.tabs.stream import build_stream
from core.web.pages.tabs.videos import build_results
from core.web.pages.widgets import Page, quiet

READY_POLL_S = 0.5
GENERATE = "generate"


def build_page(desk: Desk, parts: PageContents) -> Page:
    """The page in all languages and its endpoints. Launching it is up to the caller (core/web/pages/launch.py)."""
    first = LANGUAGES[0]
    gr.set_static_paths([path for example in parts.examples for path in (example.photo, example.speech)])  # else Gradio keeps copies
    page = Page(first, desk.settings, desk.streams, title=first.title, analytics_enabled=False)
    shelf = Shelf(desk)
    for texts in LANGUAGES:
        with page if texts is first else page.route(texts.language_name, f"/{texts.language}"):
            gr.Navbar(visible=False)
            _build(Context(desk, shelf, parts, texts))
            if texts is first:
                build_process(Context(desk, shelf, parts, texts))
                if parts.everything:
                    build_endpoints(Context(desk, shelf, parts, texts))
            page.load(desk.visited.set, **quiet(queue=False))
            page.unload(_leaving(desk))
    return page


def _build(context: Context) -> None:
    """One page in one language."""
    texts, desk = context.texts, context.desk
    others = [other for other in LANGUAGES if other is not texts]
    gr.HTML(head_html(texts, others), elem_classes="th-html")
    ready = gr.HTML(elem_id="th-ready", elem_classes="th-html", visible=False)
    if not context.contents.everything:
        generate = build_generate(context)

        def arrive(request: gr.Request) -> list[Any]:
            return last_result(context, visitor(request).owner)

        outputs = generate.result
    else:
        with gr.Tabs(selected=GENERATE) as tabs:
            with gr.Tab(texts.tab_generate, id=GENERATE):
                generate = build_generate(context)
            with gr.Tab(texts.tab_stream, id="stream"):
                streamed = build_stream(context)
            with gr.Tab(texts.tab_avatars, id="avatars"):
                avatars = AvatarsTab(context, [generate.person, streamed], tabs, GENERATE)
            with gr.Tab(texts.tab_results, id="results") as results_tab:
                build_results(context, results_tab)
            with gr.Tab(texts.tab_about, id="about") as about_tab:
                build_about(context, about_tab)

        def arrive(request: gr.Request) -> list[Any]:
            owner = visitor(request).owner
            return [*last_result(context, owner), *avatars.shown(owner)]

        outputs = [*generate.result, *avatars.outputs()]

    async def get_ready() -> AsyncIterator[Any]:
        """What is still being loaded, until nothing is."""
        await asyncio.sleep(READY_POLL_S)  # it is the first visitor's coming that starts it
        while loading := desk.loading():
            yield gr.update(value=ready_html(texts, loading), visible=True)
            await asyncio.sleep(READY_POLL_S)
        yield gr.update(visible=False)

    context_page: Any = gr.context.Context.root_block
    context_page.load(arrive, None, outputs, **quiet(queue=False))
    context_page.load(get_ready, None, ready, **quiet(concurrency_limit=None))


def _leaving(desk: Desk) -> Any:
    def leave(request: gr.Request) -> None:
        desk.leave(str(request.session_hash or ""))

    return leave
