"""ICE that can be restarted under a connection that goes on, which aiortc does not do by itself.

DTLS and SRTP send and receive through two functions of aiortc's ICE transport. Here they go to whichever ICE session is the newest that has
connected, so keys, tracks and time stamps stay as they are.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import aioice
from aiortc.rtcicetransport import connection_kwargs

from core.service.errors import UnknownPeer
from integrations.webrtc.ice_servers import IceServers

logger = logging.getLogger(__name__)

CONNECT_S = 15.0
"""How long ICE may take to connect."""


MOST_ADDRESSES = 64
"""That the checks of one client may come from. The library would take any number, look through all at each check, and send to each."""


def bounded(connection: aioice.Connection) -> aioice.Connection:
    """The same one, whose candidates are gathered: it takes no checks from more addresses, nor such as lack what the library reads of them,
    and a datagram that the library stumbles over, which anybody may send, fills no log.
    """
    check = connection.check_incoming

    def checked(message: Any, address: Any, protocol: Any) -> None:
        found = connection._remote_candidates
        known = any(each._network_host == address[0] and each.port == address[1] for each in found)
        if "PRIORITY" in message.attributes and (known or len(found) < MOST_ADDRESSES):
            check(message, address, protocol)

    connection.check_incoming = checked
    for protocol in connection._protocols:
        protocol.datagram_received = _harmless(protocol.datagram_received)
    return connection


def _harmless(received: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def heard(data: Any, address: Any) -> None:
        try:
            received(data, address)
        except Exception as error:  # half an attribute of STUN is one
            logger.debug("a datagram from %s is none that is known: %s", address, error)

    return heard


class RestartableIce:
    """transport: of a peer connection whose local description is set."""

    def __init__(self, transport: Any, servers: IceServers) -> None:
        self._servers = servers
        self._connection = bounded(transport._connection)
        self._next: aioice.Connection | None = None
        self._switching: asyncio.Task[None] | None = None
        self._closed = False
        self.version = secrets.token_urlsafe(9)
        self.restarts = 0
        """That connected."""
        transport._recv, transport._send = self._receive, self._send

    async def add(self, candidates: Sequence[aioice.Candidate]) -> None:
        """To the newest ICE session."""
        for candidate in candidates:
            await (self._next or self._connection).add_remote_candidate(candidate)

    def is_remote(self, ufrag: str) -> bool:
        """Whether that is the client's name in the newest ICE session."""
        return bool((self._next or self._connection).remote_username == ufrag)

    async def restart(self, ufrag: str, password: str) -> aioice.Connection:
        """Begins another ICE session with the client's credentials; the old one carries on until it has connected, or for good.

        Raises UnknownPeer where all was closed meanwhile.
        """
        await self._give_up()
        policy = aioice.TransportPolicy.RELAY if self._servers.relay_only else aioice.TransportPolicy.ALL
        connection = aioice.Connection(ice_controlling=False, transport_policy=policy, **connection_kwargs(self._servers.own()))
        connection.remote_username, connection.remote_password = ufrag, password
        try:
            await connection.gather_candidates()
            if self._closed:
                raise UnknownPeer
        except BaseException:
            await connection.close()
            raise
        self._next, self.version = bounded(connection), secrets.token_urlsafe(9)
        self._switching = asyncio.create_task(self._switch(connection))
        return connection

    async def close(self) -> None:
        """Of what the transport itself does not know of."""
        self._closed = True
        await self._give_up()
        await self._connection.close()

    async def _give_up(self) -> None:
        if self._switching is not None:
            self._switching.cancel()
            await asyncio.gather(self._switching, return_exceptions=True)
            self._switching = None
        if (connection := self._next) is not None:  # its task was ended before it began
            self._next = None
            await connection.close()

    async def _switch(self, connection: aioice.Connection) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await connection.connect()
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            self._next = None
            await connection.close()
            return
        old, self._connection, self._next = self._connection, connection, None
        self.restarts += 1
        await old.close()

    async def _receive(self) -> bytes:
        while True:
            connection = self._connection
            try:
                return await connection.recv()  # type: ignore[no-any-return]
            except ConnectionError:
                if connection is self._connection:
                    raise

    async def _send(self, data: bytes) -> None:
        await self._connection.send(data)
