"""Limits the size and duration of every request, before every route and the page.

Pure ASGI: what streams through is not copied, and a client that goes is seen at once.
"""

from __future__ import annotations

import asyncio
import time

from core.errors import TalkingHeadError
from core.service.errors import TooLarge
from core.service.owners import Asgi, Message, Receive, Scope, Send, header
from core.web.api.errors import ApiError, as_body
from core.web.guards.refusals import TooSlow, answer
from core.web.statuses import answer_error

LEAST_S = 0.1
"""What has arrived already is taken, however late the application asks for it."""


class BodyGuard:
    """Refuses a request body of more than `max_bytes` (413), or one that is not there after `timeout_s` (408).

    max_plain_bytes: of a body that is no form with files; it is read into memory as a whole.

    Whatever the application behind was about to answer is replaced by the refusal, unless it has begun to answer.
    """

    def __init__(self, app: Asgi, max_bytes: int, max_plain_bytes: int, timeout_s: float) -> None:
        self._app, self._max_bytes, self._max_plain_bytes, self._timeout_s = app, max_bytes, max_plain_bytes, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_form = header(scope, "content-type").lstrip().lower().startswith("multipart/")
        max_bytes = self._max_bytes if is_form else self._max_plain_bytes
        declared = header(scope, "content-length")
        if declared.isdigit() and int(declared) > max_bytes:
            error = _too_large(max_bytes)
            await answer_error(error, as_body(error), scope, receive, send)
            return
        refusal: TalkingHeadError | None = None
        started = complete = False
        deadline, arrived = time.monotonic() + self._timeout_s, 0

        async def guarded_receive() -> Message:
            nonlocal refusal, complete, arrived
            if complete:
                return await receive()
            if refusal is None:
                try:
                    message = await asyncio.wait_for(receive(), max(LEAST_S, deadline - time.monotonic()))
                except TimeoutError:
                    refusal = TooSlow(f"The request was not complete after {self._timeout_s:g} s.", "Send less, or over a faster line.")
                else:
                    arrived += len(message.get("body", b""))
                    if arrived <= max_bytes:
                        complete = not message.get("more_body", False)
                        return message
                    refusal = _too_large(max_bytes)
            return {"type": "http.disconnect"}

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if refusal is not None and not started:
                return  # what the application says about the cut-off body is no use to anyone
            started = True
            await send(message)

        try:
            await self._app(scope, guarded_receive, guarded_send)
        except Exception:
            if refusal is None or started:
                raise
        if refusal is not None and not started:
            await answer_error(refusal, as_body(refusal), scope, receive, send)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request has more than {max_bytes / 2**20:.4g} MiB.", "Shorten the recording or the text, or use a smaller photo.")


async def refuse_websocket(error: ApiError, send: Send) -> None:
    """Answers a WebSocket's handshake with a plain HTTP error."""
    await answer(error.status, as_body(error), error.headers, {"type": "websocket"}, _nothing, send)


async def _nothing() -> Message:
    return {}
