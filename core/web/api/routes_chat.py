"""POST /chat and WS /chat: a conversation whose answers are text at once, and spoken live or shown as videos (chat_protocol.py)."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from core.errors import InputError, TalkingHeadError
from core.service.chat.conversation import ChatOptions, Conversation
from core.service.errors import Malformed, TooMany
from core.web.api import spec
from core.web.api.chat_models import ChatAnswer, ChatRequest
from core.web.api.chat_protocol import Close, Interrupt, Ping, Resume, Say, binding, encoded, options_of, read_first, read_later, ready
from core.web.api.connection import accept, close, tell
from core.web.api.context import Context, Here, Owner
from core.web.api.errors import close_code

router = APIRouter(tags=["chat"])

FIRST_MESSAGE_S = 10.0
PING_S = 30.0
MAX_ERRORS = 20
"""Refused messages after which a client is cut off."""


@router.post(
    "/chat",
    summary="A message to a language model, and its answer",
    response_model=ChatAnswer,
    responses=spec.errors(404, 408, 413, 422, 501, 502, 503),
)
async def chat(request: ChatRequest, context: Here, owner: Owner) -> ChatAnswer:
    """Answers with the text when it is whole. With an avatar a video of it is made: `job` tells which, and `WS /chat`, resumed with `chat`
    and `secret`, when it is ready.
    """
    context.chats.take(owner)
    if request.chat:
        conversation = context.chats.find(request.chat, request.secret, owner)
    else:
        options = ChatOptions(
            "clips" if request.avatar else "text", request.avatar, request.engine, request.options, request.voice, request.speed
        )
        conversation = await context.chats.begin(owner, options, echo=False)
    conversation.say(request.message)
    ended = await conversation.ended()
    return ChatAnswer(chat=conversation.id, secret=conversation.secret, **ended)


@router.websocket("/chat")
async def chat_socket(socket: WebSocket, context: Here, owner: Owner) -> None:
    with context.watchers.slot(owner):
        await accept(socket)
        try:
            await _serve(socket, context, owner)
        except WebSocketDisconnect:
            return
        except TalkingHeadError as error:
            await tell(socket, error)
            await close(socket, close_code(error), error.message)


async def _serve(socket: WebSocket, context: Context, owner: str) -> None:
    try:
        first = read_first(await asyncio.wait_for(_text(socket), FIRST_MESSAGE_S))
    except TimeoutError:
        raise Malformed(f"No start came within {FIRST_MESSAGE_S:g} s.", 'Send {"type": "start", "mode": ...} first.') from None
    if isinstance(first, Resume):
        conversation = context.chats.find(first.chat, first.secret, owner, binding(first.live))
        newest = conversation.log.next_number - 1
        last = newest if first.event is None else min(first.event, newest)
    else:
        conversation = await context.chats.begin(owner, options_of(first), binding(first.live))
        last = -1
    await socket.send_text(ready(conversation, isinstance(first, Resume)))
    telling = asyncio.ensure_future(_tell_events(socket, conversation, last, context.settings.root_path))
    pinging = asyncio.ensure_future(_ping(socket))
    hearing = asyncio.ensure_future(_hear(socket, context, owner, conversation))
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


async def _tell_events(socket: WebSocket, conversation: Conversation, last: int, root_path: str) -> None:
    async for event in conversation.log.watch(last):
        if event.kind == "gap":  # what the events told is in the history
            await socket.send_text(ready(conversation, resumed=True))
        else:
            await socket.send_text(encoded(event, root_path))


async def _ping(socket: WebSocket) -> None:
    while True:
        await asyncio.sleep(PING_S)
        await socket.send_text('{"type": "ping"}')


async def _hear(socket: WebSocket, context: Context, owner: str, conversation: Conversation) -> None:
    """Takes what the client sends, until it leaves or closes the conversation."""
    errors = 0
    while True:
        message = read_later(await _text(socket))
        try:
            if isinstance(message, Say):
                context.chats.take(owner)
                conversation.say(message.text, message.id)
            elif isinstance(message, Interrupt):
                conversation.interrupt()
            elif isinstance(message, Ping):
                await socket.send_text(json.dumps({"type": "pong", "id": message.id}))
            elif isinstance(message, Close):
                context.chats.end(conversation)
                return
        except (InputError, TooMany) as error:
            errors += 1
            if errors > MAX_ERRORS:
                raise
            await tell(socket, error)


async def _text(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    if message.get("text") is None:
        raise Malformed("A binary message came.", "Send JSON text; sound goes over WS /live.")
    return str(message["text"])
