"""Serves one WebSocket of a live session: speech in as it is spoken, video out as it is due. The messages: live_protocol.py."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Literal

import anyio
import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from core.errors import AudioError, OptionError, TalkingHeadError
from core.service.errors import Malformed, UnknownLiveSession
from core.service.held_session import HeldSession
from core.service.live_messages import (
    SMALL_CHUNK_BYTES,
    Attachment,
    ClientMessage,
    EndOfUtterance,
    Interruption,
    NewControls,
    Noted,
    SayRequest,
    Sound,
)
from core.service.live_sessions import LiveSessions
from core.web.connections import websocket_peer
from core.web.live.connection import Told, accept, close, close_code, send, tell
from core.web.live.live_protocol import (
    Close,
    ControlsMessage,
    End,
    Interrupt,
    Resume,
    SayMessage,
    Start,
    ack,
    closing,
    encoded,
    gap,
    read_first,
    read_later,
    ready,
    request_of,
)
from core.web.live.messages import Ping

FIRST_MESSAGE_S = 10.0
STEP_S = 0.25
"""How long one look for output waits; a connection that is told to leave does so within it."""
ACK_S = 0.5
"""How often the client is told at most how much of what it sent was taken."""
LAST_WORDS_S = 2.0
MAX_ERRORS = 20
"""Refused messages after which a client is cut off."""
TAKEN_OVER, TOO_OLD, UNKNOWN, MOVING = 4409, 4408, 4404, 4307
"""Close codes of ours."""
_LEFT = {
    "taken_over": (TAKEN_OVER, "Another connection took the session over."),
    "replaced": (TAKEN_OVER, "A newer session took its place."),
    "stopping": (1012, "The service is stopping."),
    "moving": (MOVING, "This server is stopping; another one has the session: resume it."),
}
"""How a connection closes that was told to leave."""


async def serve_live(socket: WebSocket, sessions: LiveSessions, owner: str, avatar: str, told: Told) -> None:
    """From the handshake to the end. avatar: a token of the owner's; an unknown one is refused before the handshake, by AvatarError."""
    await asyncio.to_thread(sessions.check_avatar, avatar, owner)
    await accept(socket)
    connection: _Connection | None = None
    try:
        connection = await _connection_for(socket, sessions, owner, avatar, told)
        if connection is not None:
            await connection.serve()
    except WebSocketDisconnect:
        return
    except Exception as error:
        if connection is not None:
            sessions.end(connection.session)
        await tell(socket, error, told)
        await close(socket, UNKNOWN if isinstance(error, UnknownLiveSession) else close_code(error), told(error)["message"])
        if not isinstance(error, TalkingHeadError):
            raise


async def _connection_for(socket: WebSocket, sessions: LiveSessions, owner: str, avatar: str, told: Told) -> _Connection | None:
    """To the session that the client's first message asks for; None where the client went."""
    peer = websocket_peer(socket.scope)
    while True:
        try:
            text = await asyncio.wait_for(_text(socket), FIRST_MESSAGE_S)
        except TimeoutError:
            raise Malformed(f"No start came within {FIRST_MESSAGE_S:g} s.", 'Send {"type": "start"} first.') from None
        first = read_first(text)
        if isinstance(first, Ping):
            await _pong(socket, first)
        elif isinstance(first, Close):
            await close(socket, 1000)
            return None
        elif isinstance(first, Start):
            return _Connection(socket, sessions, *await sessions.open(avatar, owner, request_of(first), peer), None, told)
        else:
            held = await sessions.resume(first.session, first.secret, owner, first.next, peer)
            return _Connection(socket, sessions, *held, first, told)


class _Connection:
    """One client of one session: hears and shows until one of the two ends.

    resume: what the client has of it, None for a new session.
    """

    def __init__(
        self, socket: WebSocket, sessions: LiveSessions, session: HeldSession, attachment: Attachment, resume: Resume | None,
        told: Told,
    ) -> None:  # fmt: skip
        self.session = session
        self._socket, self._sessions, self._attachment, self._resume, self._told = socket, sessions, attachment, resume, told
        self._closed_by_client = False
        self._taking: asyncio.Future[bool] | None = None
        self._acknowledged = session.received
        self._acknowledged_s = time.monotonic()

    async def serve(self) -> None:
        """Returns when the connection has let go of the session, and is closed. Raises what the client is to be told."""
        try:
            await self._run()
        finally:
            self._sessions.detach(self.session)
        why = self._attachment.why
        if why in _LEFT:
            if why == "stopping":
                await send(self._socket, closing())
            await close(self._socket, *_LEFT[why])
        elif self._sessions.too_old(self.session):
            self._sessions.end(self.session)
            await close(self._socket, TOO_OLD, "The session has reached its longest time.")
        elif self._closed_by_client:
            self._sessions.end(self.session)
            await close(self._socket, 1000)
        elif self.session.closed:
            await close(self._socket, 1001, "The session has ended.")

    async def _run(self) -> None:
        hearing = asyncio.ensure_future(self._hear())
        hearing.add_done_callback(lambda _: self._attachment.leave.set())
        try:
            await self._show()
        except WebSocketDisconnect:  # what the client said before it went is still heard: it may have closed the session
            self._attachment.leave.set()
            await asyncio.wait((hearing,), timeout=LAST_WORDS_S)
        finally:
            hearing.cancel()
            ended = (await asyncio.gather(hearing, return_exceptions=True))[0]
            if self._taking is not None:  # the next connection counts from what this one has taken
                await asyncio.wait((self._taking,))
            if not self.session.here:
                await anyio.to_thread.run_sync(self.session.settle, limiter=self._sessions.threads)
        if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect):
            raise ended

    async def _show(self) -> None:
        """Sends what is due, at the pace at which the client takes it: what is not asked for is not made."""
        waiting: list[bytes | str]
        if self._resume is None:
            first = await self._produced()  # tells what is ready
            waiting = [ready(self.session, resumed=False), *first]
        else:
            had = self._resume.received, self._resume.event
            missed = await anyio.to_thread.run_sync(self.session.missed, *had, limiter=self._sessions.threads)
            again = [encoded(message) for message in missed.messages]
            waiting = [ready(self.session, resumed=True), *([gap(self.session)] if missed.gap else []), *again]
        stop = asyncio.ensure_future(self._attachment.leave.wait())
        try:
            while True:
                for message in waiting:
                    if not await self._sent(message, stop):
                        return
                if stop.done() or self.session.closed or self._sessions.too_old(self.session):
                    return
                waiting = [*self._acknowledgement(), *await self._produced()]
        finally:
            stop.cancel()

    async def _produced(self) -> list[bytes | str]:
        def produce() -> list[bytes | str]:
            return [encoded(message) for message in self.session.produce(STEP_S)]

        return await anyio.to_thread.run_sync(produce, limiter=self._sessions.threads)

    def _acknowledgement(self) -> list[str]:
        """Of what was taken since the last one, where that is some time ago."""
        received = self.session.received
        if received == self._acknowledged or time.monotonic() - self._acknowledged_s < ACK_S:
            return []
        self._acknowledged, self._acknowledged_s = received, time.monotonic()
        return [ack(received)]

    async def _sent(self, message: bytes | str, stop: asyncio.Future[Literal[True]]) -> bool:
        """False where the connection was told to leave while the client did not take it."""
        send = self._socket.send_text(message) if isinstance(message, str) else self._socket.send_bytes(message)
        sending = asyncio.ensure_future(send)
        await asyncio.wait((sending, stop), return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            sending.cancel()
            return False
        sending.result()
        return True

    async def _hear(self) -> None:
        """Takes what the client sends, until it leaves or closes the session."""
        errors = 0
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                if message.get("bytes") is not None:
                    await self._feed(message["bytes"])
                elif await self._obey(message["text"]):
                    return
            except (OptionError, AudioError) as error:
                errors += 1
                if errors > MAX_ERRORS:
                    raise
                await tell(self._socket, error, self._told)

    async def _feed(self, chunk: bytes) -> None:
        """Small chunks are taken at once where there is room: less work than the way to a thread and back."""
        if len(chunk) > SMALL_CHUNK_BYTES or not self._take_now(Sound(chunk, 0.0)):
            await self._given(Sound(chunk))

    async def _given(self, message: ClientMessage) -> None:
        """What finds no room makes the client wait: nothing more is read from it."""
        while not (await self._take(message) or self.session.closed or self._attachment.leave.is_set()):
            pass

    def _take_now(self, message: ClientMessage) -> bool:
        return self.session.take(self._attachment, message)

    async def _take(self, message: ClientMessage) -> bool:
        """As `HeldSession.take`, on a thread."""
        take = anyio.to_thread.run_sync(self.session.take, self._attachment, message, limiter=self._sessions.threads)
        self._taking = asyncio.ensure_future(take)
        return await asyncio.shield(self._taking)

    async def _obey(self, text: str) -> bool:
        """True where the session is over."""
        message = read_later(text)
        if isinstance(message, Start):
            raise Malformed("The session has started already.", "Close it first, or open another connection.")

        asked = _asked(message)
        if isinstance(asked, SayRequest) or not self.session.here:  # looking at a text takes a while
            await self._given(asked)
        else:
            self._take_now(asked)
        if isinstance(message, Ping):
            await _pong(self._socket, message)
        self._closed_by_client = isinstance(message, Close)
        return self._closed_by_client


def _asked(message: End | SayMessage | Interrupt | ControlsMessage | Ping | Close) -> ClientMessage:
    """What a message asks of the session."""
    if isinstance(message, End):
        return EndOfUtterance()
    if isinstance(message, SayMessage):
        return SayRequest(message.text, message.voice, message.speed, message.id)
    if isinstance(message, Interrupt):
        return Interruption()
    if isinstance(message, ControlsMessage):
        return NewControls(message.controls)
    return Noted()


async def _text(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    if message.get("text") is None:
        raise Malformed("Sound came before the start.", 'Send {"type": "start"} first.')
    return str(message["text"])


async def _pong(socket: WebSocket, ping: Ping) -> None:
    await socket.send_text(json.dumps({"type": "pong", "id": ping.id}))
