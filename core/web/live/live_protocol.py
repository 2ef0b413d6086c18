"""The messages of WS /live, both ways.

From the client: JSON text for control, and binary for sound: 16-bit little-endian PCM, channels interleaved, chunks of any size.
From the server: JSON text for events, and binary for media: a header of 24 bytes, then the data.

    0   version      1 byte    1
    1   kind         1 byte    1 init (fMP4), 2 segment (fMP4), 3 picture (JPEG), 4 sound (PCM16 mono)
    2   flags        2 bytes   1: the person speaks in it
    4   generation   4 bytes   goes up with each interrupt; what has an older one than the last "interrupted" is not to be shown
    8   sequence     4 bytes   counts binary messages from 0; the last one received is what a reconnecting client names
    12  time         8 bytes   microseconds of the session's video before this
    20  duration     4 bytes   microseconds, 0 for init

All numbers big-endian.

Nothing is lost with a connection. What the server sent is sent again from its sequence on; events have numbers of their own (`event`).
Of what the client sends, every message after "start", text or binary, has a number, without carrying it: the first is 0, the next 1, over
all connections of the session; "start" and "resume" themselves have none. "ready" and "ack" tell in `received` how many were taken, which
is the number of the next one. After "resume" the client goes on with that one: it sends again what it sent from there on. Where it does not
wait for "ready" it names in `next` the number of the first message that it will send; what was taken already is passed over. A client that
keeps nothing just goes on speaking.
"""

from __future__ import annotations

import json
import struct
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter

from core.notices import read_notice
from core.service.held_session import HeldSession
from core.service.live_messages import LiveMessage, LiveRequest, MediaPiece, PieceKind
from core.service.live_sessions import RESUME_S
from core.streaming.outputs import OutputKind
from core.web.live.messages import Message, PictureText, Ping, picture_file, read

HEADER = struct.Struct(">BBHIIQI")
VERSION = 1
INIT, SEGMENT, PICTURE, SOUND = 1, 2, 3, 4
KINDS: dict[PieceKind, int] = {"init": INIT, "segment": SEGMENT, "picture": PICTURE, "sound": SOUND}
SPEAKS = 1
OUTPUTS: dict[str, OutputKind] = {"fmp4": "segments", "jpeg": "pictures", "webrtc": "packets"}
"""What a session gives, by the name of the format. Of "webrtc" no media comes over the WebSocket: it is watched by WHEP."""
_EXAMPLE = '{"type": "start", ...}'


class Start(Message):
    """The first message of a new session."""

    type: Literal["start"]
    rate: int = Field(default=16_000, ge=8_000, le=96_000, description="Samples a second of the sound that is sent")
    channels: int = Field(default=1, ge=1, le=2)
    format: Literal["fmp4", "jpeg", "webrtc"] = "fmp4"
    engine: Literal["auto", "lite", "ditto"] = "auto"
    options: dict[str, Any] = Field(default_factory=dict, description="By name, as in POST /generate")
    background: PictureText = ""


class Resume(Message):
    """The first message after a connection was lost."""

    type: Literal["resume"]
    session: str = Field(max_length=64)
    secret: str = Field(max_length=64)
    received: int = Field(default=-1, ge=-1, lt=2**32, description="Sequence of the last binary message that arrived")
    event: int | None = Field(default=None, ge=-1, lt=2**53, description="Number of the last event that arrived")
    next: int | None = Field(default=None, ge=0, lt=2**53, description="Number of the first message that will be sent")


class End(Message):
    """The utterance is over: it is spoken to its end without waiting for more."""

    type: Literal["end"]


class SayMessage(Message):
    """A text is spoken, after all that was sent before it."""

    type: Literal["say"]
    text: str = Field(description="Plain, or SSML where it begins with <speak")
    voice: str = Field(default="", max_length=100)
    speed: Annotated[float, Field(strict=False)] = 1.0
    id: str = Field(default="", max_length=64, description="By which events tell of it; else its number among the texts of the session")


class Interrupt(Message):
    """All speech that was not sent yet is forgotten."""

    type: Literal["interrupt"]


class ControlsMessage(Message):
    """How the person acts from now on."""

    type: Literal["controls"]
    controls: dict[str, Any]


class Close(Message):
    """The session is over and cannot be resumed."""

    type: Literal["close"]


First = Annotated[Start | Resume | Ping | Close, Field(discriminator="type")]
Later = Annotated[End | SayMessage | Interrupt | ControlsMessage | Ping | Close | Start, Field(discriminator="type")]
_FIRST: TypeAdapter[Start | Resume | Ping | Close] = TypeAdapter(First)
_LATER: TypeAdapter[End | SayMessage | Interrupt | ControlsMessage | Ping | Close | Start] = TypeAdapter(Later)


def read_first(text: str) -> Start | Resume | Ping | Close:
    """Raises Malformed."""
    return read(_FIRST, text, _EXAMPLE, _known, picture=True)  # type: ignore[no-any-return]


def read_later(text: str) -> End | SayMessage | Interrupt | ControlsMessage | Ping | Close | Start:
    """Raises Malformed."""
    return read(_LATER, text, _EXAMPLE, _known)  # type: ignore[no-any-return]


def request_of(start: Start) -> LiveRequest:
    """Raises Malformed."""
    return LiveRequest(start.rate, start.channels, OUTPUTS[start.format], start.engine, start.options, picture_file(start.background))


def ready(session: HeldSession, resumed: bool) -> str:
    """The first message to each connection of a session. Warnings have a code, where they are among the known ones (core/notices.py)."""
    about = {
        "session": session.id,
        "secret": session.secret,
        "resume_s": RESUME_S,
        "received": session.received,
        "format": next(name for name, output in OUTPUTS.items() if output == session.request.output),
        "engine": session.engine,
        **session.about,
        "warnings": [_warning(each) for each in session.about.get("warnings", ())],
    }
    return json.dumps({"type": "ready", "resumed": resumed, "generation": session.generation, **about})


def gap(session: HeldSession) -> str:
    """Some of what was missed is kept no longer."""
    return json.dumps({"type": "gap", "generation": session.generation})


def ack(received: int) -> str:
    return json.dumps({"type": "ack", "received": received})


def closing() -> str:
    """The service stops; the session cannot be resumed."""
    return json.dumps({"type": "closing", "reason": "The service is stopping.", "hint": "Start a new session in a minute."})


def encoded(message: LiveMessage) -> bytes | str:
    if not isinstance(message, MediaPiece):
        about = {"type": message.kind, "event": message.number, "generation": message.generation, "at_s": message.at_s}
        return json.dumps({**about, **message.data})
    flags = SPEAKS if message.speaking else 0
    times = round(message.at_s * 1e6), round(message.duration_s * 1e6)
    header = HEADER.pack(VERSION, KINDS[message.kind], flags, message.generation & 0xFFFFFFFF, message.sequence & 0xFFFFFFFF, *times)
    return header + message.data


def _warning(sentence: str) -> dict[str, Any]:
    code, parameters = read_notice(sentence) or ("", {})
    return {"code": code, "parameters": parameters, "message": sentence}


def _known(place: tuple[int | str, ...]) -> str:
    """What the message at fault may hold; "" where its type is at fault: the error names the types itself."""
    for kind in (Start, Resume, End, SayMessage, Interrupt, ControlsMessage, Ping, Close):
        name = get_args(kind.model_fields["type"].annotation)[0]
        if place[:1] == (name,):
            return f"{name} may hold {', '.join(field for field in kind.model_fields if field != 'type') or 'nothing else'}."
    return ""
