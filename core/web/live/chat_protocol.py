"""The messages of WS /chat, both ways: JSON text. What the server sends after "ready" is numbered (`event`), but for "ping" and "pong"."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from core.service.chat.conversation import Conversation
from core.service.chat.event_log import ChatEvent
from core.service.chat.options import ChatOptions
from core.service.errors import Malformed
from core.web.live.connection import Told
from core.web.live.messages import Message, PictureText, Ping, picture_file, read


class LiveBinding(Message):
    """The live session that speaks: what its "ready" told."""

    session: str = Field(max_length=64)
    secret: str = Field(max_length=64)


class Start(Message):
    """A new conversation."""

    type: Literal["start"]
    mode: Literal["live", "clips", "text"]
    live: LiveBinding | None = None
    avatar: str = Field(default="", max_length=100, description="In the clips way: who speaks")
    engine: Literal["auto", "lite", "ditto"] = "auto"
    options: dict[str, Any] = Field(default_factory=dict, description="In the clips way: of the videos, as in POST /generate")
    background: PictureText = ""
    voice: str = Field(default="", max_length=100)
    speed: Annotated[float, Field(strict=False)] = 1.0
    idle: bool = Field(default=False, description="In the clips way: a video of the person at rest is made, too")


class Resume(Message):
    """The conversation goes on, after a lost connection or a reload."""

    type: Literal["resume"]
    chat: str = Field(max_length=64)
    secret: str = Field(max_length=64)
    event: int | None = Field(default=None, ge=-1, lt=2**53, description="Number of the last event that arrived; none: all are known")
    live: LiveBinding | None = None


class Say(Message):
    """What the user says."""

    type: Literal["message"]
    text: str
    id: str = Field(default="", max_length=64, description="Chosen by the client: sent again with the same id it is one message")


class Interrupt(Message):
    """The user begins to speak, or wants silence."""

    type: Literal["interrupt"]


class Close(Message):
    """The conversation is over, and forgotten."""

    type: Literal["close"]


_FIRST: TypeAdapter[Start | Resume] = TypeAdapter(Annotated[Start | Resume, Field(discriminator="type")])
_LATER: TypeAdapter[Say | Interrupt | Ping | Close] = TypeAdapter(Annotated[Say | Interrupt | Ping | Close, Field(discriminator="type")])


def read_first(text: str) -> Start | Resume:
    """Raises Malformed."""
    first: Start | Resume = read(_FIRST, text, '{"type": "start", "mode": "live", ...}', picture=True)
    if isinstance(first, Start) and first.mode == "live" and first.live is None:
        raise Malformed("The live session that speaks is missing.", 'Open WS /live, and give "live": {"session": ..., "secret": ...}.')
    return first


def read_later(text: str) -> Say | Interrupt | Ping | Close:
    """Raises Malformed."""
    return read(_LATER, text, '{"type": "message", "text": ...}')  # type: ignore[no-any-return]


def options_of(start: Start) -> ChatOptions:
    """Raises Malformed."""
    background = picture_file(start.background)
    return ChatOptions(start.mode, start.avatar, start.engine, start.options, start.voice, start.speed, background)


def binding(live: LiveBinding | None) -> tuple[str, str] | None:
    return None if live is None else (live.session, live.secret)


def ready(conversation: Conversation, resumed: bool, idle: str | None) -> str:
    """The first message to each connection, and again where events are kept no longer: all that they would tell. idle: where the video of
    the person at rest is, once there is one.
    """
    about = {
        "chat": conversation.id,
        "secret": conversation.secret,
        "resumed": resumed,
        "mode": conversation.options.mode,
        "partner": {"name": conversation.partner.name, "echo": conversation.partner.echo},
        "messages": conversation.history.view(),
        "answering": conversation.answering(),
        "idle": idle,
        "next_event": conversation.log.next_number,
    }
    return json.dumps({"type": "ready", **about})


def encoded(event: ChatEvent, url: str | None, told: Told) -> str:
    """url: where the video of the event's job is."""
    about = {"type": event.kind, "event": event.number, **event.data}
    if event.kind == "error":
        about["error"] = told(event.data["error"])
    if "job" in event.data:
        about["url"] = url
    return json.dumps(about)
