"""Routes that Gradio opens by itself and the pages do not use: they would do a visitor's work past the queue and its limits."""

from __future__ import annotations

import re

from starlette.responses import PlainTextResponse

from core.service.owners import Asgi, Receive, Scope, Send

_CLOSED = re.compile(r"/gradio_api/(process_recording|deep_link)/?$")
"""process_recording: runs ffmpeg on an upload. deep_link: writes what a visitor has on the page into a folder."""


class BlockedRoutes:
    """ASGI middleware: there is nothing at these addresses."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _CLOSED.search(scope["path"]):
            await PlainTextResponse("There is nothing at this address.", 404)(scope, receive, send)
            return
        await self._app(scope, receive, send)
