"""What the WebSockets of live sessions and conversations share: the handshake, errors as messages, and a close that never fails."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from core.web.statuses import retry_after_s, status_of

SUBPROTOCOL = "talking-head"
MAX_REASON_BYTES = 120
"""Of what a close says; the protocol allows 123."""
Told = Callable[[BaseException], dict[str, str]]
"""What a client is told of an error: type, message and hint (core/service/job_views.py)."""


async def accept(socket: WebSocket) -> None:
    """A web page that offers subprotocols must get one of them."""
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)


async def tell(socket: WebSocket, error: BaseException, told: Told) -> None:
    """An error as a message."""
    wait_s = retry_after_s(error)
    about = {} if wait_s is None else {"retry_after_s": wait_s}
    await send(socket, json.dumps({"type": "error", "error": told(error), **about}))


async def send(socket: WebSocket, text: str) -> None:
    """To a client that may be gone."""
    try:
        await socket.send_text(text)
    except (WebSocketDisconnect, RuntimeError):  # gone, or closed already
        pass


async def close(socket: WebSocket, code: int, reason: str = "") -> None:
    """The same."""
    try:
        await socket.close(code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):  # gone, or closed already
        pass


def close_code(error: BaseException) -> int:
    """Of a WebSocket: 1008 for what the client did, 1013 for a full house, else 1011."""
    status = status_of(error)
    return 1013 if status in (429, 503) else 1008 if status < 500 else 1011
