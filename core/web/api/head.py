"""Answers HEAD wherever GET is answered: the routes answer as to GET, and the body is dropped."""

from __future__ import annotations

from core.service.owners import Asgi, Message, Receive, Scope, Send

_SENT_AS_HEAD = "talking_head.head"


def with_sent_method(scope: Scope) -> Scope:
    """With the method that the client sent, for answers that would read a file only to throw it away."""
    return {**scope, "method": "HEAD"} if scope.get(_SENT_AS_HEAD) else scope


class HeadAsGet:
    """ASGI. The server below sends no body to a HEAD, whatever it is given."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET", _SENT_AS_HEAD: True}, receive, send_head)
