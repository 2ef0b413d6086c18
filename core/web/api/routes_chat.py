"""POST /chat and WS /chat: a conversation whose answers are text at once, and spoken live or shown as videos (core/web/live)."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from core.service.chat.options import ChatOptions
from core.service.job_views import error_view
from core.web.api import spec
from core.web.api.chat_models import ChatAnswer, ChatRequest
from core.web.api.context import Here, Owner
from core.web.live.chat_socket import serve_chat
from core.web.live.messages import picture_file

router = APIRouter(tags=["chat"])


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
            "clips" if request.avatar else "text", request.avatar, request.engine, request.options, request.voice, request.speed,
            picture_file(request.background),
        )  # fmt: skip
        conversation = await context.chats.begin(owner, options, echo=False)
    conversation.say(request.message)
    ended = await conversation.ended()
    return ChatAnswer(chat=conversation.id, secret=conversation.secret, **ended)


@router.websocket("/chat")
async def chat_socket(socket: WebSocket, context: Here, owner: Owner) -> None:

    async def video_of(job: str) -> str:
        return f"{context.settings.root_path}/jobs/{job}/result"

    with context.watchers.slot(owner):
        await serve_chat(socket, context.chats, owner, video_of, error_view)
