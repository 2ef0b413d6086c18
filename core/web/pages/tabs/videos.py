"""The tab with the visitor's past videos: to play, to fetch, to rename, to keep longer, to delete, and to make another like them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.errors import OptionError
from core.service.errors import UnknownJob
from core.web.pages.error_texts import sentence
from core.web.pages.figures import human_bytes
from core.web.pages.html import error_html, note_html, plain_html
from core.web.pages.scripts import script
from core.web.pages.tabs.common import Context, owner_of_request, person_of
from core.web.pages.tabs.generate import GenerateTab
from core.web.pages.videos_html import ListedVideo, videos_html
from core.web.pages.widgets import kept_text, quiet

_EMPTY = "none"


class VideosTab:
    """Fills the tab; the list is read whenever it is opened, and from then on when it changes. generate: where settings are reused, the tab
    `generate_tab` of `tabs`.
    """

    def __init__(self, context: Context, tab: Any, generate: GenerateTab, tabs: Any, generate_tab: str) -> None:
        self._context, self._generate = context, generate
        texts = context.texts
        self._listed = gr.HTML(js_on_load=script("videos.js"), elem_id="th-results", elem_classes="th-html")
        self._version = kept_text()
        """Which videos are listed; "" before the tab was opened."""
        self._said = gr.HTML(elem_id="th-results-said", elem_classes="th-html")
        with gr.Row():
            refresh = gr.Button(texts.results_refresh, min_width=150, scale=0, elem_id="th-results-refresh")
            delete = gr.Button(texts.results_delete, variant="stop", min_width=150, scale=0, elem_id="th-results-delete")
        sure = gr.Checkbox(False, visible=False)

        def show(request: gr.Request) -> list[Any]:
            return [*self._shown(owner_of_request(request)), "", gr.update(value=texts.results_delete), False]

        def forget(confirmed: bool, request: gr.Request) -> list[Any]:
            if not confirmed:
                return [gr.skip(), gr.skip(), gr.skip(), gr.update(value=texts.results_delete_sure), True]
            owner = owner_of_request(request)
            freed = context.service.videos.forget(owner)
            deleted = plain_html(texts.results_deleted.format(size=human_bytes(texts, freed)))
            return [*self._shown(owner), deleted, gr.update(value=texts.results_delete), False]

        def reuse(event: gr.EventData, request: gr.Request) -> list[Any]:
            if event._data.get("do") != "reuse":
                return [gr.skip()] * (1 + len(generate.reused_outputs()))
            owner = owner_of_request(request)
            try:
                video = context.service.videos.one(owner, str(event._data.get("video", "")))
            except UnknownJob:
                return [gr.skip()] * (1 + len(generate.reused_outputs()))
            return [gr.update(selected=generate_tab), *generate.reused(owner, video.client_state)]

        outputs = [*self.outputs(), self._said, delete, sure]
        tab.select(show, None, outputs, **quiet(queue=False))
        refresh.click(show, None, outputs, **quiet(queue=False))
        delete.click(forget, sure, outputs, **quiet(queue=False))
        self._listed.select(self._done, None, [*self.outputs(), self._said], **quiet(queue=False))
        self._listed.select(reuse, None, [tabs, *generate.reused_outputs()], **quiet(queue=False))

    def follows(self) -> list[Any]:
        """The components that `followed` reads."""
        return [self._version]

    def outputs(self) -> list[Any]:
        """The components that `followed` updates."""
        return [self._listed, self._version]

    def followed(self, owner: str, version: str) -> list[Any]:
        """The list where another is shown."""
        if not version or version == self._version_of(owner):
            return [gr.skip(), gr.skip()]
        return self._shown(owner)

    def _done(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """What the visitor wants with one of the videos; then the list as it is, and a sentence."""
        owner, texts, videos = owner_of_request(request), self._context.texts, self._context.service.videos
        video_id, said = str(event._data.get("video", "")), ""
        try:
            match event._data.get("do"):
                case "rename":
                    videos.rename(owner, video_id, str(event._data.get("name", "")))
                case "keep":
                    said = texts.videos["kept" if videos.can_be_kept_longer(videos.one(owner, video_id)) else "kept_longest"]
                    videos.keep_longer(owner, video_id)
                case "delete":
                    videos.forget_one(owner, video_id)
                    said = texts.videos["deleted"]
                case _:
                    return [gr.skip(), gr.skip(), gr.skip()]
        except UnknownJob:
            return [*self._shown(owner), error_html(texts, texts.videos["gone"])]
        except OptionError as error:
            return [gr.skip(), gr.skip(), error_html(texts, sentence(texts, error))]
        return [*self._shown(owner), plain_html(said) if said else ""]

    def _shown(self, owner: str) -> list[Any]:
        service, texts = self._context.service, self._context.texts
        version, videos = self._version_of(owner), service.videos
        listed = [
            ListedVideo(video, videos.thumbnail(video), videos.left_s(video), person_of(service, video)) for video in videos.of(owner)
        ]
        coming = note_html(texts.videos["coming"]) if videos.without_words(owner) else ""
        return [coming + (videos_html(texts, listed, service.settings.output_ttl_s) if listed or not coming else ""), version]

    def _version_of(self, owner: str) -> str:
        videos = self._context.service.videos
        told = [f"{video.id} {video.prolonged_s} {video.name}" for video in videos.of(owner)]
        told += [video.id for video in videos.without_words(owner)]
        return "\n".join(told) or _EMPTY
