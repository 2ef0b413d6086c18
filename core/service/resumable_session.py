"""One live session of one owner, which goes on when its connection is lost and another one comes.

What the client sent is counted, what it is sent is numbered and the last of it kept, so that whoever comes back misses nothing and nothing
is taken twice.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from core.errors import InputError, TalkingHeadError
from core.service.live_speech import LiveSpeech, SayRequest
from core.service.options import controls_of
from core.streaming.live import LiveSession
from core.streaming.outputs import LiveEvent, LiveFrame, LivePacket, LivePicture, LiveSegment, OutputKind
from core.types import FPS

REPLAY_BYTES = 4 * 2**20
REPLAY_MESSAGES = 2048
"""Of what was sent last: more than lies in the buffers of a connection that breaks."""
FEED_S = 0.25
"""How long one try to hand over sound waits for room; a connection that is told to leave does so within it."""

PieceKind = Literal["init", "segment", "picture", "sound"]
Leaving = Literal["", "taken_over", "replaced", "stopping"]


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


class ResumableSession:
    """`produce` and `take` are called on any thread, one of each at a time.

    received: messages of the client that were taken so far; the next one has this number. attachment: of the connection that has the
    session. free: no connection has it. left_s: since when. speech: of the texts that the session says.
    """

    def __init__(self, owner: str, request: LiveRequest, session: LiveSession, speech: LiveSpeech) -> None:
        self.owner, self.request, self.session, self.speech = owner, request, session, speech
        self.id, self.secret = secrets.token_urlsafe(16), secrets.token_urlsafe(24)
        self.since_s = self.left_s = time.monotonic()
        self.received = 0
        self.about: dict[str, Any] = {}
        """What the session's event "ready" told."""
        self.attachment: Attachment | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.expiry: asyncio.TimerHandle | None = None
        self.watchers: list[Callable[[Watched], None]] = []
        """Called with all that is made, for the client or for them alone, on the thread that makes it."""
        self._sequence = self._n_events = self._n_said = 0
        self._odd = b""
        self._init: MediaPiece | None = None
        self._sent: deque[tuple[int, LiveMessage]] = deque()
        self._sent_bytes = 0
        self._lock = threading.Lock()

    # ---- from the session to the client

    def produce(self, timeout_s: float) -> list[LiveMessage]:
        """What is due, kept for another time; waits for it. Raises what the engine raised."""
        output = self.session.next_output(timeout_s)
        if output is None:
            return []
        if isinstance(output, LivePacket):
            for watcher in list(self.watchers):
                watcher(output)
            return []
        if isinstance(output, LiveFrame):
            raise TypeError("a session of frames cannot be resumed")
        messages = list(self._messages(output))
        with self._lock:
            for message in messages:
                self._sent.append((self._sequence - 1, message))
                self._sent_bytes += _size(message)
            while self._sent_bytes > REPLAY_BYTES or len(self._sent) > REPLAY_MESSAGES:
                self._sent_bytes -= _size(self._sent.popleft()[1])
        for message in messages:
            for watcher in list(self.watchers):
                watcher(message)
        return messages

    def missed(self, last: int, last_event: int | None = None) -> Missed:
        """By a client that got the piece of sequence `last` last, and the event of that number; -1 for none. None: it does not count
        events; then it is told again of those behind that piece.
        """

        def is_new(sequence: int, message: LiveMessage) -> bool:
            if last_event is None or isinstance(message, MediaPiece):
                return sequence > last
            return message.number > last_event

        with self._lock:
            messages = [message for sequence, message in self._sent if is_new(sequence, message)]
            kept_from = self._sent[0][0] if self._sent else self._sequence
            gap = last + 1 < kept_from
        if not gap:
            return Missed(False, messages)
        self.session.request_keyframe()
        return Missed(True, [self._init] if self._init is not None else [])

    # ---- from the client to the session

    def take(self, attachment: Attachment, do: Callable[[], bool]) -> bool:
        """Does what the next message of a connection asks for, unless that was done already: a client sends again what it has no word of.

        do: returns False where there is no room for it now; then nothing is counted, and it is tried again. Raises what `do` raises; what
        is refused is counted, since it would be refused again.
        """
        if attachment.next_number >= self.received:
            try:
                if not do():
                    return False
            except InputError:
                self._count(attachment)
                raise
        self._count(attachment)
        return True

    def feed(self, chunk: bytes, wait_s: float = FEED_S) -> bool:
        """Sound, cut anywhere. False: there was no room within `wait_s`, nothing was taken. Raises AudioError."""
        if self.request.channels == 1:
            return self.session.feed(chunk, self.request.rate_hz, wait_s)
        data = self._odd + chunk
        whole = len(data) // 4 * 4
        pairs = np.frombuffer(data[:whole], "<i2").reshape(-1, 2).astype(np.int32)
        if not self.session.feed((pairs.sum(axis=1) // 2).astype(np.int16), self.request.rate_hz, wait_s):
            return False
        self._odd = data[whole:]
        return True

    def end_of_utterance(self) -> None:
        self._odd = b""
        self.session.end_of_utterance()

    def say(self, request: SayRequest) -> None:
        """Takes a text. What is wrong with it is told by an event, so that it reaches a client that comes back, too."""
        request = dataclasses.replace(request, id=request.id or str(self._n_said))
        self._n_said += 1
        try:
            self.speech.say(request)
        except TalkingHeadError as error:
            self.speech.tell_failed(request.id, error)

    def interrupt(self) -> None:
        """Forgets the speech that was not sent yet, of texts too."""
        self._odd = b""
        self.session.interrupt()

    def set_controls(self, values: dict[str, Any]) -> None:
        """Raises OptionError."""
        self.session.set_controls(controls_of(values))

    # ---- within

    def _count(self, attachment: Attachment) -> None:
        attachment.next_number += 1
        self.received = max(self.received, attachment.next_number)

    def _messages(self, output: LiveEvent | LivePicture | LiveSegment) -> Iterator[LiveMessage]:
        if isinstance(output, LiveEvent):
            if output.kind == "ready":
                self.about = output.data
            else:
                yield dataclasses.replace(output, number=self._n_events)
                self._n_events += 1
            return
        if isinstance(output, LivePicture):
            pcm = np.clip(np.rint(output.sound * 32767), -32768, 32767).astype("<i2").tobytes()
            pieces: tuple[tuple[PieceKind, bytes], ...] = (("picture", output.data), ("sound", pcm))
            for kind, data in pieces:
                yield self._piece(kind, output.speaking, output.generation, output.at_s, 1 / FPS, data)
            return
        segment = output.segment
        kind = "init" if segment.kind == "init" else "segment"
        piece = self._piece(kind, output.speaking, output.generation, segment.start_s, segment.duration_s, segment.data)
        if kind == "init":
            self._init = piece
        yield piece

    def _piece(self, kind: PieceKind, speaking: bool, generation: int, at_s: float, duration_s: float, data: bytes) -> MediaPiece:
        piece = MediaPiece(kind, speaking, generation, self._sequence, at_s, duration_s, data)
        self._sequence += 1
        return piece


def _size(message: LiveMessage) -> int:
    return len(message.data) if isinstance(message, MediaPiece) else 0
