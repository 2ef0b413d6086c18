"""The page, in every language: its tabs (core/web/pages/tabs) put together, and kept up to date while it is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from core.optimization.cold_start_optimization import LoadState
from core.service.service import Service
from core.web.pages.endpoints import build_endpoints, build_process
from core.web.pages.html import head_html, ready_html, subscription_html, words_html
from core.web.pages.language import LANGUAGES
from core.web.pages.scripts import PAGE_SCRIPTS, WORKLET, script
from core.web.pages.tabs.avatars import AvatarsTab
from core.web.pages.tabs.chat import build_chat
from core.web.pages.tabs.common import Context, PageContents, from_phone, owner_of_request
from core.web.pages.tabs.generate import GenerateTab
from core.web.pages.tabs.live import build_live
from core.web.pages.tabs.status import build_status
from core.web.pages.tabs.stream import StreamTab
from core.web.pages.tabs.videos import VideosTab
from core.web.pages.widgets import Page, quiet

READY_POLL_S = 0.5
GENERATE = "generate"
AVATARS = "avatars"


def build_page(service: Service, contents: PageContents) -> Page:
    """The page in all languages and its endpoints. Launching it is up to the caller (core/web/pages/launch.py)."""
    first = LANGUAGES[0]
    page = Page(first, service, title=first.title)
    service.studio.share_results((example.photo, example.speech) for example in contents.examples)
    examples = [path for example in contents.examples for path in (example.photo, example.speech, example.video)]
    page.public_files = [WORKLET, *examples]
    gr.set_static_paths(page.public_files)  # else Gradio keeps copies
    for texts in LANGUAGES:
        with page if texts is first else page.route(texts.language_name, f"/{texts.language}"):
            gr.Navbar(visible=False)
            context = Context(service, contents, texts)
            _build(page, context)
            if texts is first:
                build_process(context)
                if contents.everything:
                    build_endpoints(context)
    return page


def _build(page: Page, context: Context) -> None:
    """One page in one language."""
    texts = context.texts
    gr.HTML(head_html(texts, [other for other in LANGUAGES if other is not texts]), elem_classes="th-html")
    ready = gr.HTML(elem_id="th-ready", elem_classes="th-html", visible=False)
    events = gr.HTML(subscription_html(""), js_on_load=script("events.js"), elem_id="th-events", elem_classes="th-html")
    words = gr.HTML(words_html(texts), js_on_load=script(*PAGE_SCRIPTS), elem_id="th-words", elem_classes="th-html")
    if context.contents.everything:
        parts, drafted = _tabs(context)
    else:
        parts, drafted = [GenerateTab(context)], {}
    generate, others = parts[0], parts[1:]

    def arrive(request: gr.Request) -> list[Any]:
        owner = owner_of_request(request)
        page.visited.set()
        draft = page.drafts.take(owner)
        drafts = {name: (draft or {}).get(name, {}) for name in [*drafted, AVATARS]}
        told = [subscription_html(page.subscriptions.add(owner, texts)), *generate.arrived(owner, draft, from_phone(request))]
        for name, part in drafted.items():
            told += part.arrived(drafts[name])
        for part in others:
            if isinstance(part, AvatarsTab):
                spoken = (str(drafts[name].get("avatar", "")) for name in drafted)
                told += part.arrived(owner, drafts[AVATARS], generate.chosen_avatar(owner, draft), *spoken)
                told += part.restored(drafts[AVATARS])
        return told

    def leave(values: dict[Any, Any], request: gr.Request) -> None:
        """For the same page in another language."""
        draft = {**generate.draft(values), **{name: part.draft(values) for name, part in kept.items()}}
        page.drafts.keep(owner_of_request(request), draft)

    def refresh(request: gr.Request, *values: Any) -> list[Any]:
        owner, told, left = owner_of_request(request), list[Any](), list(values)
        for part in parts:
            n = len(part.follows())
            told += part.followed(owner, *left[:n])
            left = left[n:]
        return told

    async def get_ready() -> AsyncIterator[Any]:
        """What is still being loaded, until nothing is."""
        await asyncio.sleep(READY_POLL_S)  # it is the first visitor's coming that starts it
        while loading := _loading(context.service):
            yield gr.update(value=ready_html(texts, loading), visible=True)
            await asyncio.sleep(READY_POLL_S)
        yield gr.update(visible=False)

    avatars, kept = list[Any](), dict(drafted)
    for part in others:
        if isinstance(part, AvatarsTab):
            avatars += [*part.outputs(), *part.inputs()]
            kept[AVATARS] = part
    left_behind = generate.draft_inputs().union(*(part.draft_inputs() for part in kept.values()))
    restored = [component for part in drafted.values() for component in part.inputs()]
    arrived = [events, *generate.outputs(), *generate.inputs(), *restored, *avatars]
    followed = [each for part in parts for each in part.follows()], [each for part in parts for each in part.outputs()]
    root: Any = gr.context.Context.root_block
    root.load(arrive, None, arrived, **quiet(queue=False))
    root.load(get_ready, None, ready, **quiet(concurrency_limit=None))
    left = words.submit(leave, left_behind, None, **quiet(queue=False))
    left.then(None, None, None, js="() => window.talkingHeadLeave()")
    events.submit(arrive, None, arrived, **quiet(queue=False))
    events.select(refresh, *followed, **quiet(queue=False, trigger_mode="always_last"))
    for part in parts:
        if not isinstance(part, VideosTab):
            part.submitted.then(refresh, *followed, **quiet(queue=False))  # it may have ended before the page knew of it


def _tabs(context: Context) -> tuple[list[Any], dict[str, Any]]:
    """Those that are kept up to date, Generate first; and by name the others into which a visitor puts something."""
    texts = context.texts
    with gr.Tabs(selected=GENERATE) as tabs:
        with gr.Tab(texts.tab_generate, id=GENERATE):
            generate = GenerateTab(context)
        with gr.Tab(texts.tab_stream, id="stream"):
            streamed = StreamTab(context)
        with gr.Tab(texts.live["tab"], id="live"):
            lived = build_live(context)
        with gr.Tab(texts.chat["tab"], id="chat"):
            chatted = build_chat(context)
        drafted: dict[str, Any] = {"stream": streamed, "live": lived, "chat": chatted}
        with gr.Tab(texts.tab_avatars, id=AVATARS):
            avatars = AvatarsTab(context, [generate.person, *(each.person for each in drafted.values())], tabs, GENERATE)
        with gr.Tab(texts.tab_results, id="results") as videos_tab:
            videos = VideosTab(context, videos_tab, generate, tabs, GENERATE)
        with gr.Tab(texts.tab_about, id="about") as status_tab:
            build_status(context, status_tab)
    return [generate, avatars, videos], drafted


def _loading(service: Service) -> dict[str, LoadState]:
    """The engines that are on their way, by name."""
    engines = service.studio.engines
    states = {name: engines.state(name) for name in engines.names}
    return {name: state for name, state in states.items() if state.under_way}
