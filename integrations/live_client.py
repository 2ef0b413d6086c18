"""A client of the server's WS /live (docs/api.md): keeps one session going, over lost connections and restarts of the server.

Imports nothing of core/: a Pipecat bot has it in an environment of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

HEADER = struct.Struct(">BBHIIQI")
"""version, kind, flags, generation, sequence, microseconds before it, microseconds long"""
PICTURE, SOUND, SPEAKS = 3, 4, 1
MAX_MESSAGE_BYTES = 32 * 2**20
"""Of a picture, the largest that comes."""
RETRY_S, MOST_WAIT_S = 3.0, 30.0
START_S = 120.0
"""How long the server may take until a session is ready: it may have to load an engine."""
_FINAL_STATUSES = {400, 401, 403, 404, 421}
_FINAL_CODES = {1008, 1009, 4409}
_NEW_SESSION_CODES = {1011, 1012, 1013, 4404, 4408}


class LiveError(Exception):
    """What is wrong, and what to do, in a sentence or two. final: it will not get better by itself. retry_s: when to try again."""

    def __init__(self, text: str, final: bool = False, retry_s: float = RETRY_S) -> None:
        super().__init__(text)
        self.final, self.retry_s = final, min(retry_s, MOST_WAIT_S)


@dataclass(frozen=True)
class Media:
    """kind: PICTURE, data is a JPEG; or SOUND, 16-bit little-endian mono samples. speaking: the person speaks in it."""

    kind: int
    speaking: bool
    generation: int
    sequence: int
    duration_s: float
    data: bytes


class LiveClient:
    """Used on one event loop. start: the first message of a session, as in docs/api.md.

    on_message: awaited with all that comes, in order: Media, and events as dictionaries, "ready" among them (resumed false: the session is
    new, and knows nothing of what was sent before). on_trouble: awaited with each LiveError while `run` tries again.
    """

    def __init__(
        self,
        server: str,
        key: str,
        avatar: str,
        start: dict[str, Any],
        on_message: Callable[[Media | dict[str, Any]], Awaitable[None]],
        on_trouble: Callable[[LiveError], Awaitable[None]],
    ) -> None:
        self._url = f"{server.rstrip('/').replace('http', 'ws', 1)}/live?avatar={avatar}"
        self._headers = {"X-API-Key": key} if key else {}
        self._start, self._on_message, self._on_trouble = {"type": "start", "format": "jpeg", **start}, on_message, on_trouble
        self.connected = asyncio.Event()
        """A session is ready for what is sent."""
        self._session: dict[str, Any] = {}
        self._error: dict[str, Any] = {}
        self._shown = self._last_event = -1
        self._outbox: deque[bytes | str] = deque()
        self._first = 0  # number of the outbox's first message
        self._more = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._closing = False

    @property
    def has_session(self) -> bool:
        """There is a session, though perhaps no connection to it now: what is sent reaches it, or is dropped with it."""
        return bool(self._session)

    def send(self, message: bytes | dict[str, Any]) -> None:
        """Sound, of 1 MiB at most, or a control message. It is kept until the server has taken it, over connections of the session: who
        sends bounds how much that is.
        """
        self._outbox.append(message if isinstance(message, bytes) else json.dumps(message))
        self._more.set()

    @property
    def untaken(self) -> int:
        """Messages that the server has not confirmed yet."""
        return len(self._outbox)

    async def run(self) -> None:
        """Until `close`. Raises LiveError for what will not get better."""
        while not self._closing:
            try:
                await self._connection()
            except LiveError as error:
                if error.final:
                    raise
                trouble = error
            except (ValueError, LookupError, TypeError, struct.error, websockets.InvalidURI) as error:
                raise LiveError(f"{self._url.partition('?')[0]} is no Talking Head server ({error}).", final=True) from error
            except (OSError, TimeoutError, websockets.InvalidHandshake) as error:
                trouble = LiveError(f"The server at {self._url.partition('?')[0]} cannot be reached: {str(error) or 'no answer in time'}.")
            if not self._closing:
                await self._on_trouble(trouble)
                await asyncio.sleep(trouble.retry_s)

    async def close(self) -> None:
        """Ends the session. May be called again."""
        self._closing = True
        if (socket := self._socket) is not None:
            with contextlib.suppress(websockets.ConnectionClosed, TimeoutError):
                await asyncio.wait_for(socket.send('{"type": "close"}'), 1.0)
                await asyncio.wait_for(socket.wait_closed(), 1.0)

    async def _connection(self) -> None:
        """One connection; raises LiveError with why it ended, unless the client closed it."""
        sending: asyncio.Task[None] | None = None
        self._error = {}
        try:
            async with websockets.connect(
                self._url, additional_headers=self._headers, max_size=MAX_MESSAGE_BYTES, proxy=None, close_timeout=1.0
            ) as socket:
                self._socket = socket
                await socket.send(json.dumps(self._first_message()))
                async with asyncio.timeout(START_S) as until_ready:
                    async for message in socket:
                        read = _read(message)
                        if isinstance(read, Media):
                            self._shown = read.sequence
                            await self._on_message(read)
                        elif await self._told(read) == "ready":
                            until_ready.reschedule(None)
                            sending = asyncio.create_task(self._send(socket, self._first))
                            self.connected.set()
            if not self._closing:
                raise self._ended(socket.close_code)
        except websockets.InvalidStatus as error:
            raise _refused(error) from None
        except websockets.ConnectionClosed as closed:
            if not self._closing:
                raise self._ended(closed.rcvd.code if closed.rcvd else None) from None
        finally:
            self.connected.clear()
            self._socket = None
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    def _first_message(self) -> dict[str, Any]:
        if not self._session:
            return self._start
        return {
            "type": "resume", "session": self._session["session"], "secret": self._session["secret"],
            "received": self._shown, "event": self._last_event,
        }  # fmt: skip

    async def _send(self, socket: ClientConnection, number: int) -> None:
        """All messages from `number` on."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                self._more.clear()
                while number < self._first + len(self._outbox):
                    await socket.send(self._outbox[number - self._first])
                    number += 1
                await self._more.wait()

    async def _told(self, event: dict[str, Any]) -> str:
        """The kind of event."""
        kind: str = event["type"]
        self._last_event = event.get("event", self._last_event)
        if kind == "error":
            self._error = event
        if kind in ("ready", "ack"):
            if kind == "ready" and not event["resumed"]:
                self._outbox.clear()
                self._first, self._session = 0, event
            while self._outbox and self._first < event["received"]:
                self._outbox.popleft()
                self._first += 1
        await self._on_message(event)
        return kind

    def _ended(self, code: int | None) -> LiveError:
        """Why the server closed the connection, and what follows."""
        if code in _NEW_SESSION_CODES:
            self._session, self._shown, self._last_event = {}, -1, -1
        error = self._error.get("error", {})
        said = " ".join(str(error[name]) for name in ("message", "hint") if error.get(name))
        said = said or f"The server closed the connection (code {code})."
        retry_s = 0.0 if code == 4404 else float(self._error.get("retry_after_s") or RETRY_S)
        return LiveError(said, final=code in _FINAL_CODES, retry_s=retry_s)


def _read(message: bytes | str) -> Media | dict[str, Any]:
    """Raises LiveError for what no server of ours sends."""
    try:
        if isinstance(message, bytes):
            _, kind, flags, generation, sequence, _, duration_us = HEADER.unpack(message[: HEADER.size])
            return Media(kind, bool(flags & SPEAKS), generation, sequence, duration_us / 1e6, message[HEADER.size :])
        event: dict[str, Any] = json.loads(message)
        event["type"]
    except (ValueError, LookupError, TypeError, struct.error) as error:
        raise LiveError(f"What comes cannot be read ({error}): that is no Talking Head server.", final=True) from error
    return event


def _refused(error: websockets.InvalidStatus) -> LiveError:
    """What the server answered in place of a WebSocket."""
    answer = error.response
    try:
        told = json.loads(answer.body or b"")["error"]
        said = f"{told['message']} {told.get('hint', '')}".strip()
    except (ValueError, KeyError, TypeError):
        said = f"The server answers with status {answer.status_code}. Is that the address of a Talking Head server?"
    after = answer.headers.get("Retry-After", "")
    return LiveError(said, answer.status_code in _FINAL_STATUSES, float(after) if after.isdigit() else RETRY_S)
