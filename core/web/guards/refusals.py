"""The answers of guards that refuse a request or a WebSocket, in one shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from core.errors import TalkingHeadError
from core.service.owners import Message, Receive, Scope, Send

LINGER_S = 2.0
"""How long what a refused client still sends is thrown away, so that it gets to read the answer."""


class Refusal(TalkingHeadError):
    """What is refused before anything looks at it. status: the answer's. headers: beside the usual ones."""

    status = 400

    def __init__(self, message: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message, hint)
        self.headers = headers or {}


class Forbidden(Refusal):
    status = 403


class Misdirected(Refusal):
    """The request is for a server of another name."""

    status = 421


class BadInput(Refusal):
    status = 422


class TooLargeBody(Refusal):
    status = 413


class TooSlow(Refusal):
    status = 408


def error_body(kind: str, message: str, hint: str = "") -> dict[str, Any]:
    return {"error": {"type": kind, "message": message, "hint": hint}}


async def refuse(error: Refusal, scope: Scope, receive: Receive, send: Send, more: Mapping[str, Any] | None = None) -> None:
    """Answers with the error. more: beside it in the body."""
    body = {**error_body(type(error).__name__, error.message, error.hint), **(more or {})}
    await answer(error.status, body, error.headers, scope, receive, send)


async def answer(
    status: int, body: Mapping[str, Any] | str, headers: Mapping[str, str], scope: Scope, receive: Receive, send: Send
) -> None:
    """Answers a request, or the handshake of a WebSocket, with JSON or text; what the client still sends is thrown away for a while."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = b"text/plain; charset=utf-8" if isinstance(body, str) else b"application/json"
    about = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    about += [(b"content-type", kind), (b"content-length", str(len(data)).encode())]
    if scope["type"] == "websocket":
        await send({"type": "websocket.http.response.start", "status": status, "headers": about})
        await send({"type": "websocket.http.response.body", "body": data})
        return
    await send({"type": "http.response.start", "status": status, "headers": [*about, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": data, "more_body": True})
    try:
        async with asyncio.timeout(LINGER_S):
            while _more(await receive()):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


def _more(message: Message) -> bool:
    return bool(message.get("more_body", False))
