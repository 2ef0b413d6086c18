"""HTML fragments of spoken texts: the player of one that was heard, and the captions of videos. Everything that is not ours is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from core.media.captions import Caption, subrip, webvtt
from core.service.job_views import JobView
from core.web.pages.heard_route import FOLDER as HEARD
from core.web.pages.texts import Texts

ABOVE_LABEL = "line:-5"
"""The last lines are left free: the label of synthetic videos stands there, and players lay their controls over them."""


def heard_html(texts: Texts, token: str) -> str:
    """Plays at once, as the visitor pressed a button for it, while the rest is still being spoken. token: of `Listening`."""
    return f'<audio class="th-heard" controls autoplay src="{HEARD}/{token}" aria-label="{escape(texts.listened)}"></audio>'


def captions_html(texts: Texts, job: JobView, address: str = "") -> str:
    """A switch and the files; nothing without captions, no switch where they are in the picture. static/captions.js puts them on the video.
    address: of a stream, "" else.
    """
    shown = job.captions
    if not shown:
        return ""
    if job.captions_burned:
        return f'<div class="th-captions">{caption_links_html(texts, shown)}</div>'
    return (
        f'<div class="th-captions" data-address="{escape(address)}" data-track="{_track_address(shown)}"><label>'
        f'<input type="checkbox" checked> {escape(texts.captions_show)}</label> {caption_links_html(texts, shown)}</div>'
    )


def caption_links_html(texts: Texts, shown: Sequence[Caption]) -> str:
    """To download them."""
    if not shown:
        return ""
    files = (("VTT", "vtt", _address("text/vtt", webvtt(shown))), ("SRT", "srt", _address("application/x-subrip", subrip(shown))))
    return " ".join(
        f'<a class="th-link" href="{address}" download="talking-head.{suffix}">{escape(texts.captions_get.format(kind=kind))}</a>'
        for kind, suffix, address in files
    )


def track_html(texts: Texts, job: JobView) -> str:
    """Of a video element: its player has a switch."""
    if not job.captions or job.captions_burned:
        return ""
    return f'<track kind="captions" label="{escape(texts.captions)}" default src="{_track_address(job.captions)}">'


def _track_address(shown: Sequence[Caption]) -> str:
    return _address("text/vtt", webvtt(shown, ABOVE_LABEL))


def _address(mime_type: str, text: str) -> str:
    """The file itself as an address: it lies nowhere else."""
    return f"data:{mime_type};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
