"""Sends the sound of a text while it is spoken: GET talking_head_heard/TOKEN, wherever the page is mounted."""

from __future__ import annotations

import re
from typing import Any, cast

from starlette.responses import PlainTextResponse, StreamingResponse

from core.service.listening import MIME_TYPE, Listening
from core.service.owners import Asgi, Receive, Scope, Send

FOLDER = "talking_head_heard"
_ADDRESS = re.compile(rf"/{FOLDER}/([\w-]{{43}})$")


class HeardRoute:
    """ASGI middleware. 404 for a token that is not known (any more); the token is what nobody can guess."""

    def __init__(self, app: Asgi, listening: Listening) -> None:
        self._app, self._listening = app, listening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _ADDRESS.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        heard = self._listening.find(found[1])
        answer: Any = PlainTextResponse("There is no such sound.", 404)
        if heard is not None:
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            answer = StreamingResponse(heard.data(), media_type=MIME_TYPE, headers=headers)
        await answer(cast(Any, scope), receive, cast(Any, send))
