"""How a finished video is taken along: links to its formats, and a button for the share sheet. Everything that is not ours is escaped."""

from __future__ import annotations

from html import escape

from core.service.job_views import JobView
from core.web.pages.download_route import download_address
from core.web.pages.texts import Texts


def download_html(texts: Texts, job: JobView, person: str) -> str:
    """static/download.js names the files, after the person and the visitor's time, and shows what a browser can share.

    person: the avatar's name or the photo's; "" where there is none.
    """
    sharing = texts.sharing
    links = "".join(
        f'<a class="th-link th-get" data-form="{form}" href="{download_address(job.id, form)}" download>{escape(label)}</a>'
        for form, label in (("mp4", texts.download), ("webm", sharing["as_webm"]), ("gif", sharing["as_gif"]))
    )
    return (
        f'<div class="th-downloads" data-person="{escape(person)}" data-at="{job.ended_s:.0f}">{links}'
        f'<button type="button" class="th-share" hidden>{escape(sharing["share"])}</button><span role="status"></span></div>'
    )
