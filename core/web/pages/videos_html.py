"""HTML of the Videos tab. Names are the visitor's own, and escaped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from core.service.job_views import JobView
from core.web.pages.html import note_html, plain_html, summary
from core.web.pages.sharing_html import download_html
from core.web.pages.speech_html import caption_links_html, track_html
from core.web.pages.texts import Texts


@dataclass(frozen=True)
class ListedVideo:
    """One video with what is shown of it. left_s: how long it is still kept, seconds. person: what who speaks in it is called, or ""."""

    video: JobView
    thumbnail: Path | None
    left_s: float
    person: str


def videos_html(texts: Texts, videos: Sequence[ListedVideo], ttl_s: float) -> str:
    """The visitor's videos, the newest first, to play, to fetch, and with what can be done with each (static/videos.js). Their addresses
    are the page's own, and cannot be guessed.
    """
    minutes = round(ttl_s / 60)
    if not videos:
        return plain_html(texts.results_none.format(minutes=minutes))
    items = "".join(_item(texts, each, number) for number, each in zip(range(len(videos), 0, -1), videos, strict=True))
    return f'{note_html(texts.results_intro.format(minutes=minutes))}<ul class="th-results">{items}</ul>'


def name_of(texts: Texts, video: JobView, number: int) -> str:
    return video.name or texts.videos["unnamed"].format(number=number)


def _item(texts: Texts, listed: ListedVideo, number: int) -> str:
    video, words = listed.video, texts.videos
    name = name_of(texts, video, number)
    poster = f' poster="{_address(listed.thumbnail)}"' if listed.thumbnail is not None else ""
    ago = texts.results_ago.format(minutes=round((time.time() - video.ended_s) / 60))
    left = words["left"].format(minutes=max(1, round(listed.left_s / 60)))
    about = [ago, summary(texts, video.info.to_dict()) if video.info is not None else "", left]
    does = [("reuse", words["reuse"])] if video.client_state else []
    does += [("keep", words["keep"]), ("rename", words["rename"]), ("delete", words["delete"])]
    buttons = "".join(_button(each, said, name) for each, said in does)
    label = escape(words["name"])
    return (
        f'<li data-video="{escape(video.id)}" data-delete="{escape(words["delete"])}" '
        f'data-sure="{escape(words["delete_sure"])}">'
        f'<video controls preload="metadata" playsinline aria-label="{escape(name)}" src="{_address(video.video)}"{poster}>'
        f"{track_html(texts, video)}</video>"
        f'<form hidden><input maxlength="80" aria-label="{label}" value="{escape(video.name)}"><button>{escape(words["save"])}</button>'
        f'<button type="button" data-do="cancel">{escape(words["cancel"])}</button></form>'
        f"<b>{escape(name)}</b><span>{escape(' · '.join(filter(None, about)))}</span>"
        f"{download_html(texts, video, video.name or listed.person)}"
        f'{caption_links_html(texts, video.captions)}<div class="th-does">{buttons}</div></li>'
    )


def _button(does: str, said: str, name: str) -> str:
    return f'<button type="button" data-do="{does}" aria-label="{escape(said)}: {escape(name)}">{escape(said)}</button>'


def _address(path: Path | None) -> str:
    return f"gradio_api/file={quote(str(path))}"
