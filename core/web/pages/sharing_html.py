"""HTML of what is taken along and of what a phone gives: links to a video's formats, the share sheet, camera and recorder."""

from __future__ import annotations

import time
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
        f'<div class="th-downloads" data-person="{escape(person)}" data-at="{job.ended_s or time.time():.0f}">{links}'
        f'<button type="button" class="th-share" hidden>{escape(sharing["share"])}</button><span role="status"></span></div>'
    )


def camera_html(texts: Texts, photo_id: str) -> str:
    """A large button that only touch screens show (static/phone.js). photo_id: of the component that gets the photo."""
    return f'<button type="button" class="th-phone th-take" data-for="{photo_id}">{escape(texts.sharing["take_photo"])}</button>'


def recorder_html(texts: Texts, speech_id: str) -> str:
    """The same for a recording."""
    begin, stop = escape(texts.sharing["record"]), escape(texts.sharing["record_stop"])
    words = f'data-record="{begin}" data-stop="{stop}"'
    return f'<button type="button" class="th-phone th-record" data-for="{speech_id}" {words}>{begin}</button>'
