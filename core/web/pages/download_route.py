"""Sends finished videos as files to take along, in the format that is asked for; only to whom they belong."""

from __future__ import annotations

import logging
import re
from typing import cast

from starlette.responses import FileResponse, PlainTextResponse

from core.errors import TalkingHeadError
from core.media.conversion import MIME_TYPES, Format
from core.service.downloads import Downloads
from core.service.errors import MadeRoom
from core.service.outputs import OutputFolder
from core.service.owners import Asgi, Receive, Scope, Send, header
from core.web.guards.visitor_files import visitor_of
from core.web.pages.error_texts import told_in
from core.web.statuses import headers_of, status_of

logger = logging.getLogger(__name__)

FOLDER = "talking_head_download"
_ADDRESS = re.compile(rf"/{FOLDER}/([\w-]{{22}})\.(mp4|webm|gif)$")


def download_address(job_id: str, form: str) -> str:
    """Relative to the page. form: mp4, webm or gif."""
    return f"{FOLDER}/{job_id}.{form}"


class DownloadRoute:
    """ASGI middleware: answers at the addresses of downloads, wherever the page is mounted. What goes wrong is a sentence in the language
    of the page that asks. The file's name is left to the page, which knows the visitor's clock (static/download.js).
    """

    def __init__(self, app: Asgi, downloads: Downloads, outputs: OutputFolder) -> None:
        self._app, self._downloads, self._outputs = app, downloads, outputs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _ADDRESS.search(scope["path"]) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        if found is None:
            await self._app(scope, receive, send)
            return
        form = cast(Format, found[2]) if found[2] in MIME_TYPES else None
        try:
            file = await self._downloads.file(found[1], visitor_of(scope), form)
        except TalkingHeadError as error:
            await self._refuse(error, scope, receive, send)
            return
        headers = {"Content-Disposition": "attachment", "Cache-Control": "private, no-store"}
        kind = MIME_TYPES[form] if form is not None else "video/mp4"
        with self._outputs.using(file):
            if not file.is_file():  # it made room in this moment
                await self._refuse(MadeRoom(), scope, receive, send)
                return
            await FileResponse(file, media_type=kind, headers=headers)(scope, receive, send)

    async def _refuse(self, error: TalkingHeadError, scope: Scope, receive: Receive, send: Send) -> None:
        page = header(scope, "referer").partition("?")[0].rstrip("/").rpartition("/")[2]
        await PlainTextResponse(told_in(page)(error)["message"], status_of(error), headers_of(error))(scope, receive, send)
