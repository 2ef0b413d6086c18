"""A LiveKit server's part in memory: rooms in which participants call each other, send each other streams of bytes, and publish tracks.

The classes of the real package that are tested against it use the room through these methods only. There is no transport, and what is
published is looked at by who holds the sources.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from livekit import rtc

UNKNOWN = rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD


class Reader:
    """As rtc.ByteStreamReader."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.info = SimpleNamespace(attributes=attributes, stream_id=uuid.uuid4().hex)
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data = await self.queue.get()
        if data is None:
            raise StopAsyncIteration
        return data


class Writer:
    """As rtc.ByteStreamWriter."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def write(self, data: bytes) -> None:
        self._reader.queue.put_nowait(data)

    async def aclose(self) -> None:
        self._reader.queue.put_nowait(None)


class Publication:
    def __init__(self, track: Any) -> None:
        self.track, self.kind = track, track.kind

    async def wait_for_subscription(self) -> None: ...


class Participant:
    """As rtc.LocalParticipant and rtc.RemoteParticipant."""

    def __init__(self, room: MemoryRoom, identity: str, kind: Any) -> None:
        self._room, self.identity, self.kind = room, identity, kind
        self.state = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
        self._rpc_handlers: dict[str, Callable[[rtc.RpcInvocationData], str]] = {}
        self.track_publications: dict[str, Publication] = {}
        self.calls: list[tuple[str, str]] = []
        """Of methods of others: name and payload."""

    def register_rpc_method(self, name: str, handler: Callable[[rtc.RpcInvocationData], str]) -> None:
        self._rpc_handlers[name] = handler

    async def perform_rpc(self, *, destination_identity: str, method: str, payload: str) -> str:
        self.calls.append((method, payload))
        other = self._room.others.get(destination_identity)
        handler = other and other.local_participant._rpc_handlers.get(method)
        if not handler:
            raise rtc.RpcError(UNKNOWN, "no such method")
        await asyncio.sleep(0)
        return handler(rtc.RpcInvocationData(uuid.uuid4().hex, self.identity, payload, 5.0))

    async def stream_bytes(self, *, name: str, topic: str, destination_identities: list[str], attributes: dict[str, str]) -> Writer:
        reader = Reader(attributes)
        for identity in destination_identities:
            self._room.others[identity].byte_stream_handlers[topic](reader, self.identity)
        return Writer(reader)

    async def publish_track(self, track: Any, options: Any) -> Publication:
        publication = self.track_publications[track.name] = Publication(track)
        for other in self._room.others.values():
            other.emit("track_published", publication, self)
        return publication


class MemoryRoom(rtc.EventEmitter[str]):
    """As rtc.Room. server: the rooms by name that are open; a token here is "room:identity:kind"."""

    def __init__(self, server: dict[str, dict[str, MemoryRoom]]) -> None:
        super().__init__()
        self._server, self._connected = server, False
        self.name = ""
        self.byte_stream_handlers: dict[str, Callable[[Reader, str], None]] = {}

    @property
    def others(self) -> dict[str, MemoryRoom]:
        return {identity: room for identity, room in self._server.get(self.name, {}).items() if room is not self}

    @property
    def remote_participants(self) -> dict[str, Participant]:
        return {identity: room.local_participant for identity, room in self.others.items()}

    def isconnected(self) -> bool:
        return self._connected

    def register_byte_stream_handler(self, topic: str, handler: Callable[[Reader, str], None]) -> None:
        self.byte_stream_handlers[topic] = handler

    async def connect(self, url: str, token: str) -> None:
        if token.count(":") != 2:
            raise rtc.ConnectError("the token is not valid")
        self.name, identity, kind = token.split(":")
        self.local_participant = Participant(self, identity, getattr(rtc.ParticipantKind, f"PARTICIPANT_KIND_{kind.upper()}"))
        self._server.setdefault(self.name, {})[identity] = self
        self._connected = True
        for other in self.others.values():
            other.emit("participant_active", self.local_participant)

    async def disconnect(self) -> None:
        if not self._connected:
            return
        others, self._connected = list(self.others.values()), False
        del self._server[self.name][self.local_participant.identity]
        for other in others:
            other.emit("participant_disconnected", self.local_participant)
        self.emit("disconnected", "left")
