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
"""

from __future__ import annotations

import json
import struct
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.service.errors import Malformed

HEADER = struct.Struct(">BBHIIQI")
VERSION = 1
INIT, SEGMENT, PICTURE, SOUND = 1, 2, 3, 4
SPEAKS = 1
MAX_CONTROL_CHARS = 64 * 1024


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Start(_Message):
    """The first message of a new session."""

    type: Literal["start"]
    rate: int = Field(default=16_000, ge=8_000, le=96_000, description="Samples a second of the sound that is sent")
    channels: int = Field(default=1, ge=1, le=2)
    format: Literal["fmp4", "jpeg"] = "fmp4"
    engine: Literal["auto", "lite", "ditto"] = "auto"
    options: dict[str, Any] = Field(default_factory=dict, description="By name, as in POST /generate")


class Resume(_Message):
    """The first message after a connection was lost."""

    type: Literal["resume"]
    session: str = Field(max_length=64)
    secret: str = Field(max_length=64)
    received: int = Field(default=-1, ge=-1, lt=2**32, description="Sequence of the last binary message that arrived")


class End(_Message):
    """The utterance is over: it is spoken to its end without waiting for more."""

    type: Literal["end"]


class Interrupt(_Message):
    """All speech that was not sent yet is forgotten."""

    type: Literal["interrupt"]


class ControlsMessage(_Message):
    """How the person acts from now on."""

    type: Literal["controls"]
    controls: dict[str, Any]


class Ping(_Message):
    type: Literal["ping"]
    id: int | str | None = Field(default=None)


class Close(_Message):
    """The session is over and cannot be resumed."""

    type: Literal["close"]


First = Annotated[Start | Resume | Ping | Close, Field(discriminator="type")]
Later = Annotated[End | Interrupt | ControlsMessage | Ping | Close | Start, Field(discriminator="type")]
_FIRST: TypeAdapter[Start | Resume | Ping | Close] = TypeAdapter(First)
_LATER: TypeAdapter[End | Interrupt | ControlsMessage | Ping | Close | Start] = TypeAdapter(Later)


def read_first(text: str) -> Start | Resume | Ping | Close:
    """Raises Malformed."""
    return _read(_FIRST, text)  # type: ignore[no-any-return]


def read_later(text: str) -> End | Interrupt | ControlsMessage | Ping | Close | Start:
    """Raises Malformed."""
    return _read(_LATER, text)  # type: ignore[no-any-return]


def media(kind: int, flags: int, generation: int, sequence: int, at_s: float, duration_s: float, data: bytes) -> bytes:
    header = HEADER.pack(VERSION, kind, flags, generation & 0xFFFFFFFF, sequence & 0xFFFFFFFF, round(at_s * 1e6), round(duration_s * 1e6))
    return header + data


def _read(adapter: TypeAdapter[Any], text: str) -> Any:
    if len(text) > MAX_CONTROL_CHARS:
        raise Malformed(f"A message has {len(text)} characters.", f"At most {MAX_CONTROL_CHARS}.")
    try:
        return adapter.validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"A message is wrong{f' at {where}' if where else ''}: {first['msg']}.", _known(first["loc"])) from None
    except (ValueError, RecursionError):
        raise Malformed("A message is not JSON.", 'Write it as {"type": "start", ...}.') from None


def _known(place: tuple[int | str, ...]) -> str:
    """What the message at fault may hold; where its type is at fault, the error names the types itself."""
    for kind in (Start, Resume, End, Interrupt, ControlsMessage, Ping, Close):
        name = get_args(kind.model_fields["type"].annotation)[0]
        if place[:1] == (name,):
            return f"{name} may hold {', '.join(field for field in kind.model_fields if field != 'type') or 'nothing else'}."
    return 'Write it as {"type": "start", ...}.'
