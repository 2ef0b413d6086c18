"""Runs work for as long as the client that waits for it is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fastapi import Request, WebSocket
from starlette.websockets import WebSocketDisconnect


async def gone(http: Request, work: Coroutine[Any, Any, None]) -> bool:
    """Waits for `work`, but no longer than the client; True where the client went first. The body must have been read."""

    async def leave() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass

    return await _first(work, leave())


async def serve_while_connected(socket: WebSocket, work: Coroutine[Any, Any, None]) -> bool:
    """The same for a WebSocket that only listens; what it sends is not looked at."""

    async def leave() -> None:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass

    try:
        return await _first(work, leave())
    except WebSocketDisconnect:
        return True


async def _first(work: Coroutine[Any, Any, None], leave: Coroutine[Any, Any, None]) -> bool:
    """Whether `leave` ended before `work`; raises what `work` raised. What has not ended is cancelled."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(leave)
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return False
        return True
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
