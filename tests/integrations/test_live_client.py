"""A client of something that is no server of ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from integrations.live_client import LiveClient, LiveError


async def nothing(_: Any) -> None: ...


def client(server: str) -> LiveClient:
    return LiveClient(server, "", "token", {}, nothing, nothing)


@pytest.mark.parametrize("said", [b"x", "no JSON", "{}", "[]"])
def test_what_cannot_be_read_ends_the_session(said: str | bytes) -> None:
    async def answer(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(said)
        await socket.wait_closed()

    async def test() -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            with pytest.raises(LiveError, match="no Talking Head server") as ended:
                await client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}").run()
        assert ended.value.final

    asyncio.run(test())


def test_an_address_without_a_scheme_is_told() -> None:
    with pytest.raises(LiveError, match="no Talking Head server"):
        asyncio.run(client("127.0.0.1:9").run())
