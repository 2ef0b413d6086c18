"""ICE restarts that meet the end of their connection."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace
from typing import Any

import aioice
import pytest
from aioice.ice import StunProtocol

from core.service.errors import UnknownPeer
from core.settings import Settings
from integrations.webrtc.ice import MOST_ADDRESSES, RestartableIce
from integrations.webrtc.ice_servers import IceServers

pytestmark = pytest.mark.slow


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The ICE sessions that were closed."""
    found: list[Any] = []
    close = aioice.Connection.close

    async def closing(connection: aioice.Connection) -> None:
        found.append(connection)
        await close(connection)

    monkeypatch.setattr(aioice.Connection, "close", closing)
    return found


def made() -> RestartableIce:
    return RestartableIce(SimpleNamespace(_connection=aioice.Connection(ice_controlling=False)), IceServers(Settings()))


def test_a_restart_during_the_end_leaves_nothing(closed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        ice, gathering, go_on = made(), asyncio.Event(), asyncio.Event()
        gather = aioice.Connection.gather_candidates

        async def gathered(connection: aioice.Connection) -> None:
            await gather(connection)
            gathering.set()
            await go_on.wait()

        monkeypatch.setattr(aioice.Connection, "gather_candidates", gathered)
        restarting = asyncio.create_task(ice.restart("abcd", "0123456789012345678901"))
        await gathering.wait()
        await ice.close()
        go_on.set()
        with pytest.raises(UnknownPeer):
            await restarting
        assert len(closed) == 2, "the old session and the new one"

    asyncio.run(test())


def test_a_restart_that_was_not_tried_yet_is_closed_too(closed: list[Any]) -> None:
    async def test() -> None:
        ice = made()
        connection = await ice.restart("abcd", "0123456789012345678901")
        await ice.close()  # before its task has begun
        assert connection in closed

    asyncio.run(test())


def test_checks_from_many_addresses_are_not_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.Connection, "check_start_task", lambda connection, pair: None)

    async def test() -> None:
        connection = aioice.Connection(ice_controlling=False)
        RestartableIce(SimpleNamespace(_connection=connection), IceServers(Settings()))
        protocol: Any = SimpleNamespace(local_candidate=SimpleNamespace(component=1, priority=1))
        check: Any = SimpleNamespace(attributes={"PRIORITY": 1})
        connection.check_incoming(SimpleNamespace(attributes={}), ("192.0.2.1", 1), protocol)  # type: ignore[arg-type]
        assert connection.remote_candidates == []
        for port in range(1, 1000):
            connection.check_incoming(check, ("192.0.2.1", port), protocol)
        assert len(connection.remote_candidates) == MOST_ADDRESSES
        connection.check_incoming(check, ("192.0.2.1", 1), protocol)  # is known
        assert len(connection._check_list) == MOST_ADDRESSES

    asyncio.run(test())


def test_half_an_attribute_of_stun_is_passed_over() -> None:
    async def test() -> None:
        connection = aioice.Connection(ice_controlling=False)
        protocol = StunProtocol(connection)
        protocol.local_candidate = SimpleNamespace(component=1)  # type: ignore[assignment]
        connection._protocols.append(protocol)
        half = struct.pack("!HHI12sHH4x", 1, 8, 0x2112A442, b"transaction.", 0x24, 2)  # a priority of two bytes
        with pytest.raises(struct.error):
            protocol.datagram_received(half, ("192.0.2.1", 5))
        RestartableIce(SimpleNamespace(_connection=connection), IceServers(Settings()))
        protocol.datagram_received(half, ("192.0.2.1", 5))

    asyncio.run(test())
