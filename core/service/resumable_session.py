"""One live session of one owner, which goes on when its connection is lost and another one comes.

What the client sent is counted, what it is sent is numbered and the last of it kept, so that whoever comes back misses nothing and nothing
is taken twice.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, TalkingHeadError
from core.service.held_session import HeldSession, Report
from core.service.live_messages import (
    ClientMessage,
    EndOfUtterance,
    Interruption,
    LiveMessage,
    LiveRequest,
    MediaPiece,
    Missed,
    NewControls,
    PieceKind,
    Place,
    SayRequest,
    Sound,
)
from core.service.live_speech import LiveSpeech
from core.service.options import controls_of
from core.service.quotas import RateLimit
from core.settings import Settings
from core.speech_synthesis.speaker import Speaker
from core.streaming.live import LiveSession
from core.streaming.outputs import LiveEvent, LiveFrame, LivePacket, LivePicture, LiveSegment
from core.types import FPS

REPLAY_BYTES = 4 * 2**20
REPLAY_MESSAGES = 2048
"""Of what was sent last: more than lies in the buffers of a connection that breaks."""


class ResumableSession(HeldSession):
    """A session of this process. speech: of the texts that it says. id, secret: chosen here where they are not given."""

    here = True

    def __init__(
        self, owner: str, request: LiveRequest, session: LiveSession, speech: LiveSpeech, id: str | None = None, secret: str | None = None
    ) -> None:
        super().__init__(owner, request, id or secrets.token_urlsafe(16), secret or secrets.token_urlsafe(24))
        self.session, self.speech = session, speech
        self.engine, self.metadata = session.engine, session.metadata
        self._received = 0
        self._sequence = self._n_events = self._n_said = 0
        self._odd = b""
        self._init: MediaPiece | None = None
        self._sent: deque[tuple[int, LiveMessage]] = deque()
        self._sent_bytes = 0
        self._lock = threading.Lock()

    @property
    def received(self) -> int:
        return self._received

    @property
    def closed(self) -> bool:
        return self.session.closed

    @property
    def generation(self) -> int:
        return self.session.generation

    @property
    def buffered_s(self) -> float:
        return float(self.session.stats()["buffered_s"])

    def close(self) -> None:
        self.session.close()

    # ---- from the session to the client

    def produce(self, timeout_s: float) -> list[LiveMessage]:
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

    def request_keyframe(self) -> None:
        self.session.request_keyframe()

    # ---- from the client to the session

    def take(self, place: Place, message: ClientMessage) -> bool:
        if place.next_number >= self._received:
            try:
                if not self._do(message):
                    return False
            except InputError:
                self._count(place)
                raise
        self._count(place)
        return True

    def hear(self, samples: NDArray[np.int16], rate_hz: int) -> None:
        self.session.feed(samples, rate_hz)

    def end_of_utterance(self) -> None:
        self._odd = b""
        self.session.end_of_utterance()

    def say(
        self, request: SayRequest, on_end: Callable[[Report], None] = lambda report: None, on_sound: Callable[[], None] = lambda: None
    ) -> None:
        self.speech.say(request, on_end, on_sound)

    def interrupt(self) -> None:
        self._odd = b""
        self.session.interrupt()

    # ---- within

    def _do(self, message: ClientMessage) -> bool:
        if isinstance(message, Sound):
            return self._feed(message.chunk, message.wait_s)
        if isinstance(message, SayRequest):
            self._say(message)
        elif isinstance(message, EndOfUtterance):
            self.end_of_utterance()
        elif isinstance(message, Interruption):
            self.interrupt()
        elif isinstance(message, NewControls):
            self.session.set_controls(controls_of(message.values))
        return True

    def _feed(self, chunk: bytes, wait_s: float) -> bool:
        """False: there was no room within `wait_s`, nothing was taken. Raises AudioError."""
        if self.request.channels == 1:
            return self.session.feed(chunk, self.request.rate_hz, wait_s)
        data = self._odd + chunk
        whole = len(data) // 4 * 4
        pairs = np.frombuffer(data[:whole], "<i2").reshape(-1, 2).astype(np.int32)
        if not self.session.feed((pairs.sum(axis=1) // 2).astype(np.int16), self.request.rate_hz, wait_s):
            return False
        self._odd = data[whole:]
        return True

    def _say(self, request: SayRequest) -> None:
        """What is wrong with a text is told by an event, so that it reaches a client that comes back, too."""
        request = dataclasses.replace(request, id=request.id or str(self._n_said))
        self._n_said += 1
        try:
            self.speech.say(request)
        except TalkingHeadError as error:
            self.speech.tell_failed(request.id, error)

    def _count(self, place: Place) -> None:
        place.next_number += 1
        self._received = max(self._received, place.next_number)

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


def resumable(
    live: LiveSession, owner: str, request: LiveRequest, speaker: Speaker, settings: Settings, says: RateLimit, **names: Any
) -> ResumableSession:
    """The session with its texts; the picture of its background is not kept. names: id and secret, as of ResumableSession."""
    speech = LiveSpeech(live, speaker, owner, says, settings.max_text_chars)
    return ResumableSession(owner, dataclasses.replace(request, background=b""), live, speech, **names)


def _size(message: LiveMessage) -> int:
    return len(message.data) if isinstance(message, MediaPiece) else 0
