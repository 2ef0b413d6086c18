"""The Status tab: engines, queue and caches, and the download of Ditto's networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from core.service.errors import hide_paths
from core.web.pages.figures import filled, human_bytes
from core.web.pages.html import ditto_html, grid_html, note_html, paragraph_html, plain_html, table_html
from core.web.pages.tabs.common import Context, owner_of_request
from core.web.pages.tabs.detect import build_detect
from core.web.pages.texts import Texts
from core.web.pages.widgets import quiet

WATCH_S = 1.0
"""How often a running download is looked at."""


def build_status(context: Context, tab: Any) -> None:
    """Fills the tab; the numbers are read whenever it is opened."""
    texts, service = context.texts, context.service
    if "ditto" in service.studio.engines.names:
        _build_download(context, tab)
    numbers = gr.HTML(elem_id="th-numbers", elem_classes="th-html")
    with gr.Row():
        refresh = gr.Button(texts.results_refresh, min_width=150, scale=0, elem_id="th-numbers-refresh")
        clear = gr.Button(texts.clear_mine, min_width=230, scale=0, elem_id="th-clear")
    cleared = gr.HTML(note_html(texts.clear_mine_hint), elem_classes="th-html", elem_id="th-cleared")
    build_detect(context)
    about = paragraph_html(texts.about_disclosure_title, texts.about_disclosure) + paragraph_html(texts.about_api_title, texts.about_api)
    gr.HTML(about, elem_classes="th-html")

    sure = gr.Checkbox(False, visible=False)

    def show() -> list[Any]:
        health, stats = service.studio.health(), service.studio.stats()
        return [numbers_html(texts, {**health, "queue": service.queue()}, stats), gr.update(value=texts.clear_mine), False]

    def empty(confirmed: bool, request: gr.Request) -> list[Any]:
        if not confirmed:
            return [gr.skip(), gr.skip(), gr.update(value=texts.results_delete_sure), True]
        freed = service.avatars.clear("all", owner_of_request(request))
        return [plain_html(texts.cleared.format(size=human_bytes(texts, freed))), *show()]

    outputs = [numbers, clear, sure]
    tab.select(show, None, outputs, **quiet(queue=False))
    refresh.click(show, None, outputs, **quiet(queue=False))
    clear.click(empty, sure, [cleared, *outputs], **quiet(queue=False))


def numbers_html(texts: Texts, health: Mapping[str, Any], stats: Mapping[str, Any]) -> str:
    """What runs here now, and the caches: one row each, one column for each number that some cache has."""
    now = [
        (texts.about_engines, ", ".join(health["engines"])),
        (texts.about_loaded, ", ".join(health["loaded"]) or texts.about_nothing_loaded),
        (texts.about_queue, texts.about_queue_is.format(**health["queue"])),
    ]
    if health.get("device"):
        now.append((texts.about_device, str(health["device"])))
    caches = list(_caches(stats, texts.stat_names))
    columns = [name for name in texts.stat_names if any(_is_number(numbers.get(name)) for _, numbers in caches)]
    rows = [[title, *(_said(texts, column, numbers.get(column)) for column in columns)] for title, numbers in caches]
    return table_html(texts.about_now, now) + grid_html(texts.about_caches, [texts.stat_names[name] for name in columns], rows)


def _caches(stats: Mapping[str, Any], names: Mapping[str, str], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of `Studio.stats` that hold numbers and have a name for people, those within others too."""
    for name, value in stats.items():
        if isinstance(value, Mapping) and name in names:
            title = f"{above} {names[name]}".strip()
            if any(_is_number(each) for each in value.values()):
                yield title, value
            yield from _caches(value, names, title)


def _said(texts: Texts, name: str, value: Any) -> str:
    if not _is_number(value):
        return "–"
    if name.endswith("bytes"):
        return human_bytes(texts, value)
    return filled(texts, "{value:.1f} s", value=float(value)) if name.endswith("_s") else f"{value}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _build_download(context: Context, tab: Any) -> None:
    """Size, progress, and a button that starts, goes on with, or stops the one download."""
    engines, texts = context.service.studio.engines, context.texts
    with gr.Column(elem_classes="th-plain-column"):
        status = gr.HTML(elem_id="th-ditto-status", elem_classes="th-html")
        with gr.Row():
            get = gr.Button(min_width=230, scale=0, variant="primary", visible=False, elem_id="th-ditto-get")
            stop = gr.Button(texts.ditto_cancel, variant="stop", min_width=230, scale=0, visible=False, elem_id="th-ditto-stop")
        timer = gr.Timer(WATCH_S, active=False)

    def show() -> list[Any]:
        state, missing = engines.state("ditto"), engines.missing_bytes("ditto")
        wanted = missing > 0 and not state.under_way
        button = gr.update(value=texts.ditto_get.format(size=human_bytes(texts, missing)), visible=wanted)
        told = dataclasses.replace(state, error=hide_paths(state.error), hint=hide_paths(state.hint))
        shown = ditto_html(texts, told, missing)
        return [shown, button, gr.update(visible=state.stage == "fetching"), gr.update(active=state.under_way)]

    def begin() -> list[Any]:
        engines.start("ditto")
        return show()

    def end() -> list[Any]:
        engines.cancel("ditto")
        return [gr.skip(), gr.skip(), gr.skip(), gr.update(active=True)]  # the next look shows that it stopped

    outputs = [status, get, stop, timer]
    for event, work in ((tab.select, show), (timer.tick, show), (get.click, begin), (stop.click, end)):
        event(work, None, outputs, **quiet(queue=False))
