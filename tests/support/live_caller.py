"""A client of WS /live for the tests: one connection, its events and its media."""

from __future__ import annotations

import asyncio
import contextlib
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from core.web.live.live_protocol import HEADER
from tests.support.paths import SPEECH
from tests.support.server_process import Process
from tests.support.serving import KEY, Serving

START = {"type": "start", "options": {"size": 64}}


class Caller:
    """One connection, as a client sees it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.socket = connection
        self.events: list[dict[str, Any]] = []
        self.media: list[tuple[tuple[int, ...], bytes]] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not true():
                message = await self.socket.recv()
                if isinstance(message, str):
                    self.events.append(json.loads(message))
                else:
                    self.media.append((HEADER.unpack(message[: HEADER.size]), message[HEADER.size :]))

    async def event(self, kind: str) -> dict[str, Any]:
        await self.until(lambda: any(event["type"] == kind for event in self.events))
        return next(event for event in self.events if event["type"] == kind)

    async def end(self) -> tuple[int | None, dict[str, Any]]:
        """How the server closed, and the last event before it."""
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.until(lambda: False)
        return self.socket.close_code, self.events[-1] if self.events else {}

    def sequences(self) -> list[int]:
        return [head[4] for head, _ in self.media]


@contextlib.asynccontextmanager
async def call(server: Serving | Process, token: str, key: str = KEY) -> AsyncIterator[Caller]:
    headers = {"X-API-Key": key}
    async with websockets.connect(f"{server.ws}/live?avatar={token}", additional_headers=headers, proxy=None, max_size=None) as connection:
        yield Caller(connection)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def speech(seconds: float = 1.0) -> bytes:
    with wave.open(str(SPEECH)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        return file.readframes(int(seconds * 16_000))
