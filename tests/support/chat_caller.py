"""A client of WS /chat for the tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from tests.support.serving import KEY, Serving


class ChatCaller:
    """One connection. events: all messages that came; times: when, by time.monotonic."""

    def __init__(self, connection: ClientConnection) -> None:
        self.socket = connection
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def say(self, text: str, **more: Any) -> None:
        await self.send(type="message", text=text, **more)

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not true():
                self.events.append(json.loads(await self.socket.recv()))
                self.times.append(time.monotonic())

    async def event(self, kind: str, **wanted: Any) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [event for event in self.of(kind) if all(event.get(name) == value for name, value in wanted.items())]

        await self.until(found)
        return found()[0]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    async def closed(self) -> int | None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.until(lambda: False)
        return self.socket.close_code


@contextlib.asynccontextmanager
async def chatting(server: Serving, key: str = KEY, **first: Any) -> AsyncIterator[ChatCaller]:
    """A connection that has sent its first message."""
    headers = {"X-API-Key": key}
    async with websockets.connect(f"{server.ws}/chat", additional_headers=headers, proxy=None) as connection:
        caller = ChatCaller(connection)
        if first:
            await caller.send(**first)
        yield caller


def resume(ready: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "resume", "chat": ready["chat"], "secret": ready["secret"], **more}
