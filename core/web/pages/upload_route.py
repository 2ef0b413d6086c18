"""Takes the uploads of pages and Gradio's clients, at Gradio's addresses and in its place: bounded, judged while they arrive.

POST gradio_api/upload                a form; the answer is a list of paths, which only the same visitor may name (visitor_files.py)
GET  gradio_api/upload_progress       how far the upload of an `upload_id` is, as server-sent events
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from core.errors import TalkingHeadError
from core.service.errors import hide_paths
from core.service.owners import Asgi, Receive, Scope, Send, header
from core.service.visitor_uploads import Arrival, VisitorUploads
from core.web.addresses import address_of
from core.web.guards.gradio_routes import local_path
from core.web.guards.refusals import TooSlow
from core.web.guards.visitor_files import visitor_of
from core.web.pages.error_texts import sentence
from core.web.pages.texts import Texts
from core.web.statuses import answer_error

logger = logging.getLogger(__name__)

UPLOAD, PROGRESS = "gradio_api/upload", "gradio_api/upload_progress"
MAX_WATCHED = 1000
"""Uploads whose progress is known; of older ones nothing is told."""
BEGIN_S = 3.0
"""How long who asks for the progress of an upload waits for its beginning."""
PAUSE_S = 0.1
_ID = re.compile(r"[\w-]{1,64}")


@dataclass
class Progress:
    """Of one upload. left: bytes by file name that were not told yet."""

    left: dict[str, int] = field(default_factory=dict)
    ended: bool = False


class UploadRoute:
    """ASGI middleware. languages: the texts of each page; the first are those of the page at the root. timeout_s: of one upload."""

    def __init__(self, app: Asgi, uploads: VisitorUploads, languages: tuple[Texts, ...], timeout_s: float) -> None:
        self._app, self._uploads, self._languages, self._timeout_s = app, uploads, languages, timeout_s
        self._watched: OrderedDict[tuple[str, str], Progress] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = (scope["method"], local_path(scope).rstrip("/")) if scope["type"] == "http" else None
        if route == ("POST", UPLOAD):
            await self._upload(scope, receive, send)
        elif route == ("GET", PROGRESS):
            await self._tell(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor, upload_id = visitor_of(scope), _upload_id(scope)
        address = address_of((scope.get("client") or ("",))[0])
        progress = self._progress(visitor, upload_id) if upload_id else Progress()
        try:
            with self._uploads.receiving(visitor, address) as arrival:
                arrival.begin(header(scope, "content-type"))
                if not await self._receive(arrival, receive, progress):
                    return  # the client went away
                paths = await asyncio.to_thread(arrival.finish)
        except TalkingHeadError as error:
            said = hide_paths(sentence(self._texts(scope), error))
            await answer_error(error, said, scope, receive, send)
            return
        finally:
            progress.ended = True
        await JSONResponse([str(path) for path in paths])(scope, receive, send)

    async def _receive(self, arrival: Arrival, receive: Receive, progress: Progress) -> bool:
        """False where the client went away."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return False
                    data = message.get("body", b"")
                    arrival.write(data)
                    if arrival.file_name:
                        progress.left[arrival.file_name] = progress.left.get(arrival.file_name, 0) + len(data)
                    if not message.get("more_body", False):
                        return True
        except TimeoutError:
            raise TooSlow(f"The upload was not complete after {self._timeout_s:g} s.", "Send less, or over a faster line.") from None

    def _texts(self, scope: Scope) -> Texts:
        """Those of the page that sends, which its address tells."""
        page = header(scope, "referer").partition("?")[0].rstrip("/").rpartition("/")[2]
        return next((texts for texts in self._languages if texts.language == page), self._languages[0])

    def _progress(self, visitor: str, upload_id: str) -> Progress:
        progress = self._watched.setdefault((visitor, upload_id), Progress())
        while len(self._watched) > MAX_WATCHED:
            self._watched.popitem(last=False)
        return progress

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = visitor_of(scope), _upload_id(scope)
        loop = asyncio.get_running_loop()
        begins = loop.time() + BEGIN_S
        while (progress := self._watched.get(known)) is None and loop.time() < begins:
            await asyncio.sleep(PAUSE_S)
        if progress is None:
            await PlainTextResponse("There is no such upload.", 404)(scope, receive, send)
            return
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        await StreamingResponse(_events(progress), media_type="text/event-stream", headers=headers)(scope, receive, send)
        self._watched.pop(known, None)


async def _events(progress: Progress) -> AsyncIterator[str]:
    while True:
        ended = progress.ended
        while progress.left:
            name, nbytes = progress.left.popitem()
            yield _event({"msg": "update", "orig_name": name, "chunk_size": nbytes})
        if ended:
            yield _event({"msg": "done"})
            return
        await asyncio.sleep(PAUSE_S)


def _event(message: dict[str, object]) -> str:
    return f"data: {json.dumps(message)}\n\n"


def _upload_id(scope: Scope) -> str:
    given = parse_qs(scope["query_string"].decode("latin-1")).get("upload_id", [""])[0]
    return given if _ID.fullmatch(given) else ""
