"""The outermost layer, before every route and the page: no request is larger, slower or from further away than allowed.

Pure ASGI: what streams through is not copied, and a client that goes is seen at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection
from urllib.parse import urlsplit

from core.service.owners import Asgi, Message, Receive, Scope, Send, header
from core.web.api.errors import ApiError, Forbidden, TooLarge, TooSlow, as_body
from core.web.api.keys import Keys

LINGER_S = 2.0
"""How long what a refused client still sends is thrown away, so that it gets to read the answer."""
LEAST_S = 0.1
"""What has arrived already is taken, however late the application asks for it."""
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class BodyGuard:
    """Refuses a request body of more than `max_bytes` (413), or one that is not there after `timeout_s` (408).

    Whatever the application behind was about to answer is replaced by the refusal, unless it has begun to answer.
    """

    def __init__(self, app: Asgi, max_bytes: int, timeout_s: float) -> None:
        self._app, self._max_bytes, self._timeout_s = app, max_bytes, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = header(scope, "content-length")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await _refuse(self._too_large(), receive, send)
            return
        refusal: ApiError | None = None
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
                    if arrived <= self._max_bytes:
                        complete = not message.get("more_body", False)
                        return message
                    refusal = self._too_large()
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
            await _refuse(refusal, receive, send)

    def _too_large(self) -> ApiError:
        return TooLarge(f"The request has more than {self._max_bytes / 2**20:.4g} MiB.", "Shorten the recording, or use a smaller photo.")


class OriginGuard:
    """A web page of another origin may use the server only with a key it was given, never with what the browser adds by itself.

    That is: a request with an Origin that is neither this server's nor in `allowed`, without a key, and that could change
    something or opens a WebSocket, is refused. loopback: the server is for this machine alone, so its name must be this machine's
    too, or a foreign name that is made to point here could read it.
    """

    def __init__(self, app: Asgi, allowed: Collection[str], loopback: bool, keys: Keys) -> None:
        self._app, self._allowed, self._loopback, self._keys = app, allowed, loopback, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _refuse(problem, receive, send)
        else:
            await refuse_websocket(problem, send)

    def _problem(self, scope: Scope) -> ApiError | None:
        host, origin = header(scope, "host"), header(scope, "origin")
        if self._loopback and _host_name(f"//{host}") not in LOOPBACK_NAMES:
            return Forbidden(f"This server is not {host[:80]!r}.", "It serves this machine only: use localhost.")
        harmless = scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS")
        if not origin or harmless or self._keys.sent(scope) or origin in self._allowed or urlsplit(origin).netloc == host:
            return None
        return Forbidden(f"Web pages of {origin[:80]} may not call this server.", "Name the origin in TALKING_HEAD_CORS_ORIGINS.")


async def refuse_websocket(error: ApiError, send: Send) -> None:
    """Answers a WebSocket's handshake with a plain HTTP error."""
    data = json.dumps(as_body(error)).encode()
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": _headers(error, data)})
    await send({"type": "websocket.http.response.body", "body": data})


async def _refuse(error: ApiError, receive: Receive, send: Send) -> None:
    data = json.dumps(as_body(error)).encode()
    await send({"type": "http.response.start", "status": error.status, "headers": [*_headers(error, data), (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": data, "more_body": True})
    try:
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


def _headers(error: ApiError, data: bytes) -> list[tuple[bytes, bytes]]:
    own = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    return [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode()), *own]


def _host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
