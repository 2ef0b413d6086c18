"""WS /live: speech in as it is spoken, video out as it is due. The messages: live_protocol.py."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from core.errors import AudioError, OptionError, TalkingHeadError
from core.service.errors import Malformed
from core.service.live_sessions import LiveSessions, Message, ServedSession
from core.web.api.connection import accept
from core.web.api.context import Here, Owner
from core.web.api.errors import NotFound, as_body, close_code
from core.web.api.live_protocol import Close, ControlsMessage, End, Interrupt, Ping, Start, read_first, read_later

router = APIRouter(tags=["live"])

FIRST_MESSAGE_S = 10.0
STEP_S = 0.25
"""How long one look for output waits; a connection that is told to leave does so within it."""
LAST_WORDS_S = 2.0
MAX_ERRORS = 20
"""Refused messages after which a client is cut off."""
TAKEN_OVER, TOO_OLD, UNKNOWN = 4409, 4408, 4404
"""Close codes of ours."""


@router.websocket("/live")
async def live(socket: WebSocket, context: Here, owner: Owner, avatar: Annotated[str, Query(max_length=100)]) -> None:
    await asyncio.to_thread(context.studio.avatar, avatar, owner)  # an unknown one is refused before the handshake
    await accept(socket)
    served: ServedSession | None = None
    try:
        served, received = await _session_for(socket, context.live, owner, avatar)
        if served is None:
            return
        stopping = context.live.attach(served)
        try:
            await _Connection(socket, context.live, served, stopping).run(received)
        finally:
            context.live.detach(served)
    except WebSocketDisconnect:
        return
    except Exception as error:
        if served is not None:
            context.live.end(served)
        await _tell(socket, error)
        await _close(socket, UNKNOWN if isinstance(error, NotFound) else close_code(error), as_body(error)["error"]["message"])
        if not isinstance(error, TalkingHeadError):
            raise


async def _session_for(socket: WebSocket, sessions: LiveSessions, owner: str, avatar: str) -> tuple[ServedSession | None, int | None]:
    """The session that the client's first message asks for, and what it received last of one it had; None where it went."""
    while True:
        try:
            text = await asyncio.wait_for(_text(socket), FIRST_MESSAGE_S)
        except TimeoutError:
            raise Malformed(f"No start came within {FIRST_MESSAGE_S:g} s.", 'Send {"type": "start"} first.') from None
        first = read_first(text)
        if isinstance(first, Ping):
            await _pong(socket, first)
        elif isinstance(first, Close):
            await _close(socket, 1000)
            return None, None
        elif isinstance(first, Start):
            return await sessions.open(avatar, owner, first), None
        else:
            return await sessions.resume(first, owner), first.received


class _Connection:
    """One client of one session: hears and shows until one of the two ends."""

    def __init__(self, socket: WebSocket, sessions: LiveSessions, served: ServedSession, stopping: asyncio.Event) -> None:
        self._socket, self._sessions, self._served, self._stopping = socket, sessions, served, stopping
        self._left = False

    async def run(self, received: int | None) -> None:
        """received: sequence of what the client got last, None for a new session."""
        hearing = asyncio.ensure_future(self._hear())
        hearing.add_done_callback(lambda _: self._stopping.set())
        try:
            await self._show(received)
        except WebSocketDisconnect:  # what the client said before it went is still heard: it may have closed the session
            self._stopping.set()
            await asyncio.wait((hearing,), timeout=LAST_WORDS_S)
        finally:
            taken_over = not hearing.done()
            hearing.cancel()
            ended = (await asyncio.gather(hearing, return_exceptions=True))[0]
        if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect):
            raise ended
        if self._sessions.too_old(self._served):
            self._sessions.end(self._served)
            await _close(self._socket, TOO_OLD, "The session has reached its longest time.")
        elif self._left:
            self._sessions.end(self._served)
            await _close(self._socket, 1000)
        elif self._served.session.closed:
            await _close(self._socket, 1001, "The session has ended.")
        elif taken_over:
            await _close(self._socket, TAKEN_OVER, "Another connection took the session over.")

    async def _show(self, received: int | None) -> None:
        """Sends what is due, at the pace at which the client takes it: what is not asked for is not made."""
        if received is None:
            first = await self._produced()  # tells what is ready
            waiting: list[Message] = [self._served.ready(resumed=False), *first]
        else:
            waiting = [self._served.ready(resumed=True), *self._served.since(received)]
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            while True:
                for message in waiting:
                    if not await self._sent(message, stop):
                        return
                if stop.done() or self._served.session.closed or self._sessions.too_old(self._served):
                    return
                waiting = await self._produced()
        finally:
            stop.cancel()

    async def _produced(self) -> list[Message]:
        return await anyio.to_thread.run_sync(self._served.produce, STEP_S, limiter=self._sessions.threads)

    async def _sent(self, message: Message, stop: asyncio.Future[Literal[True]]) -> bool:
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
                await _tell(self._socket, error)

    async def _feed(self, chunk: bytes) -> None:
        """Sound that finds no room makes the client wait: nothing more is read from it."""
        while not await anyio.to_thread.run_sync(self._served.feed, chunk, limiter=self._sessions.threads):
            if self._served.session.closed or self._stopping.is_set():
                return

    async def _obey(self, text: str) -> bool:
        """True where the session is over."""
        message = read_later(text)
        if isinstance(message, End):
            self._served.end_of_utterance()
        elif isinstance(message, Interrupt):
            self._served.session.interrupt()
        elif isinstance(message, ControlsMessage):
            self._served.set_controls(message.controls)
        elif isinstance(message, Ping):
            await _pong(self._socket, message)
        elif isinstance(message, Close):
            self._left = True
            return True
        else:
            raise Malformed("The session has started already.", "Close it first, or open another connection.")
        return False


async def _text(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    if message.get("text") is None:
        raise Malformed("Sound came before the start.", 'Send {"type": "start"} first.')
    return str(message["text"])


async def _pong(socket: WebSocket, ping: Ping) -> None:
    await socket.send_text(json.dumps({"type": "pong", "id": ping.id}))


async def _tell(socket: WebSocket, error: BaseException) -> None:
    try:
        await socket.send_text(json.dumps({"type": "error", **as_body(error)}))
    except (WebSocketDisconnect, RuntimeError):  # gone, or closed already
        pass


async def _close(socket: WebSocket, code: int, reason: str = "") -> None:
    try:
        await socket.close(code, reason[:100])
    except (WebSocketDisconnect, RuntimeError):  # gone, or closed already
        pass

