"""What connections and live sessions tell each other: requests, messages of the client, and what is made for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from core.streaming.outputs import LiveEvent, LivePacket, OutputKind

FEED_S = 0.25
"""How long one try to hand over sound waits for room; a connection that is told to leave does so within it."""
SMALL_CHUNK_BYTES = 8192
"""Of sound that is taken without waiting for anybody, where it waits for no room."""

PieceKind = Literal["init", "segment", "picture", "sound"]
Leaving = Literal["", "taken_over", "replaced", "stopping", "moving"]


@dataclass(frozen=True)
class LiveRequest:
    """What a new session is asked for. rate_hz, channels: of the sound that will be fed. output: as in LiveOptions; packets are given to
    watchers alone, and kept for nobody. options: by name. background: the file of a picture behind the person, b"" for none.
    """

    rate_hz: int = 16_000
    channels: int = 1
    output: OutputKind = "segments"
    engine: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    background: bytes = field(default=b"", repr=False)


# ---- from the client


@dataclass(frozen=True)
class SayRequest:
    """text: plain, or SSML where it begins with <speak. voice: "" for the default. id: by which events tell of it. keep: its speech may
    answer the same text of the same owner later.
    """

    text: str
    voice: str = ""
    speed: float = 1.0
    id: str = ""
    keep: bool = True


@dataclass(frozen=True)
class Sound:
    """chunk: 16-bit little-endian samples of the request's rate and channels, cut anywhere. wait_s: for room, at most."""

    chunk: bytes = field(repr=False)
    wait_s: float = FEED_S


@dataclass(frozen=True)
class EndOfUtterance:
    """It is spoken to its end without waiting for more."""


@dataclass(frozen=True)
class Interruption:
    """The speech that was not sent yet is forgotten."""


@dataclass(frozen=True)
class NewControls:
    """How the person acts from now on, by name."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Noted:
    """What asks for nothing of the session, and counts."""


ClientMessage = Sound | SayRequest | EndOfUtterance | Interruption | NewControls | Noted

# ---- to the client


@dataclass(frozen=True, eq=False)
class MediaPiece:
    """One piece of a session's video. init, segment: of a fragmented MP4; picture: a JPEG; sound: 16-bit little-endian mono samples.

    speaking: whether the person speaks in it. sequence: counts the pieces of the session from 0. at_s, duration_s: in seconds of video.
    """

    kind: PieceKind
    speaking: bool
    generation: int
    sequence: int
    at_s: float
    duration_s: float
    data: bytes


LiveMessage = MediaPiece | LiveEvent
Watched = LiveMessage | LivePacket


@dataclass(frozen=True)
class Missed:
    """gap: some of what was missed is kept no longer; `messages` are a new beginning then."""

    gap: bool
    messages: list[LiveMessage]


class Peer(Protocol):
    """The other side of a connection."""

    @property
    def heard_s(self) -> float:
        """When anything came from it last, by time.monotonic()."""

    def ping(self) -> None:
        """Asks for a sign of life. Does not wait."""


class Place(Protocol):
    """Where a connection is in the client's messages. next_number: of the one that comes next from it."""

    next_number: int


class Attachment:
    """The hold of one connection on a session. next_number: of the message that comes next from it. leave: set, it lets go.

    why: it is to leave; "" where it leaves by itself. Used on the event loop.
    """

    def __init__(self, peer: Peer, next_number: int) -> None:
        self.peer, self.next_number = peer, next_number
        self.leave = asyncio.Event()
        self.why: Leaving = ""

    def dismiss(self, why: Leaving) -> None:
        self.why = self.why or why
        self.leave.set()
