"""Serves one WebSocket of a conversation. The messages: chat_protocol.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from core.errors import InputError, TalkingHeadError
from core.service.chat.conversation import Conversation
from core.service.chat.conversations import Conversations
from core.service.errors import Malformed, TooMany
from core.web.live.chat_protocol import Close, Interrupt, Resume, Say, binding, encoded, options_of, read_first, read_later, ready
from core.web.live.connection import Told, accept, close, close_code, tell
from core.web.live.messages import Ping

FIRST_MESSAGE_S = 10.0
PING_S = 30.0
VideoOf = Callable[[str], Awaitable[str | None]]
"""Where a client finds the video of a job; None where it is kept no longer."""
MAX_ERRORS = 20
"""Refused messages after which a client is cut off."""


async def serve_chat(socket: WebSocket, chats: Conversations, owner: str, video_of: VideoOf, told: Told) -> None:
    """From the handshake to the end."""
    await accept(socket)
    try:
        await _serve(socket, chats, owner, video_of, told)
    except WebSocketDisconnect:
        return
    except TalkingHeadError as error:
        await tell(socket, error, told)
        await close(socket, close_code(error), told(error)["message"])


async def _serve(socket: WebSocket, chats: Conversations, owner: str, video_of: VideoOf, told: Told) -> None:
    try:
        first = read_first(await asyncio.wait_for(_text(socket), FIRST_MESSAGE_S))
    except TimeoutError:
        raise Malformed(f"No start came within {FIRST_MESSAGE_S:g} s.", 'Send {"type": "start", "mode": ...} first.') from None
    if isinstance(first, Resume):
        conversation = chats.find(first.chat, first.secret, owner, binding(first.live))
        newest = conversation.log.next_number - 1
        last = newest if first.event is None else min(first.event, newest)
    else:
        conversation = await chats.begin(owner, options_of(first), binding(first.live), idle=first.idle)
        last = -1
    await socket.send_text(await _ready(conversation, isinstance(first, Resume), video_of))
    telling = asyncio.ensure_future(_tell_events(socket, conversation, last, video_of, told))
    pinging = asyncio.ensure_future(_ping(socket))
    hearing = asyncio.ensure_future(_hear(socket, chats, owner, conversation, told))
    try:
        done, _ = await asyncio.wait((telling, pinging, hearing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, pinging, hearing):
            task.cancel()
        ended = await asyncio.gather(telling, pinging, hearing, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception) and not isinstance(error, RuntimeError):
            raise error
    if hearing in done:
        await close(socket, 1000)
    else:
        await close(socket, 1001, "The conversation has ended.")


async def _tell_events(socket: WebSocket, conversation: Conversation, last: int, video_of: VideoOf, told: Told) -> None:
    async for event in conversation.log.watch(last):
        if event.kind == "gap":  # what the events told is in the history
            await socket.send_text(await _ready(conversation, True, video_of))
        else:
            url = await video_of(event.data["job"]) if "job" in event.data else None
            await socket.send_text(encoded(event, url, told))


async def _ready(conversation: Conversation, resumed: bool, video_of: VideoOf) -> str:
    return ready(conversation, resumed, await video_of(conversation.idle_job) if conversation.idle_job else None)


async def _ping(socket: WebSocket) -> None:
    while True:
        await asyncio.sleep(PING_S)
        await socket.send_text('{"type": "ping"}')


async def _hear(socket: WebSocket, chats: Conversations, owner: str, conversation: Conversation, told: Told) -> None:
    """Takes what the client sends, until it leaves or closes the conversation."""
    errors = 0
    while True:
        message = read_later(await _text(socket))
        try:
            if isinstance(message, Say):
                chats.take(owner)
                conversation.say(message.text, message.id)
            elif isinstance(message, Interrupt):
                conversation.interrupt()
            elif isinstance(message, Ping):
                await socket.send_text(json.dumps({"type": "pong", "id": message.id}))
            elif isinstance(message, Close):
                chats.end(conversation)
                return
        except (InputError, TooMany) as error:
            errors += 1
            if errors > MAX_ERRORS:
                raise
            await tell(socket, error, told)


async def _text(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    if message.get("text") is None:
        raise Malformed("A binary message came.", "Send JSON text; sound goes over WS /live.")
    return str(message["text"])
