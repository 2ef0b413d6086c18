"""A live session in a process of its own, which the connections of other processes hold one after the other.

All that a session is lies here: its time, what waits to be spoken, what was sent last. It is drawn and encoded elsewhere
(core/streaming/remote_renderer.py), and its texts are synthesised where it is drawn.
"""

from __future__ import annotations

import hmac
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.errors import InputError
from core.service.errors import UnknownLiveSession
from core.service.held_session import Report
from core.service.job_views import as_values
from core.service.live_messages import LiveMessage, LiveRequest, SayRequest, Watched
from core.service.quotas import RateLimit
from core.service.resumable_session import ResumableSession, resumable
from core.service.shared.joined_messages import Numbered
from core.service.shared.remote_speaker import Piece, RemoteSpeaker
from core.settings import Settings
from core.streaming.live import LiveSession
from core.streaming.outputs import LiveOptions, LivePacket
from core.streaming.remote_renderer import RemoteRenderer, RendererSource
from core.streaming.render_link import RenderLink

KEPT_S = 30.0
"""How long a session is kept that no connection holds."""


@dataclass(frozen=True)
class Reply:
    """value: of the call. error: as `as_values` writes it; None: there is none. notes: what became of texts since the last reply, each
    with the key of its text: (key, report) of one that is over, (key, None) of one whose first sound is there. The rest: how the session
    is.
    """

    value: Any
    error: Mapping[str, Any] | None
    received: int
    generation: int
    closed: bool
    buffered_s: float
    notes: Sequence[tuple[int, Report | None]]


@dataclass(frozen=True)
class Begun:
    """Of a new session: as in HeldSession."""

    engine: str
    metadata: Mapping[str, str]
    about: Mapping[str, Any]


@dataclass
class _Place:
    next_number: int


class SessionServer:
    """One session's. Thread-safe. source: where its renderers come from. says: how often its owner may have a text said."""

    def __init__(
        self, settings: Settings, link: RenderLink, source: RendererSource, speaker: RemoteSpeaker, says: RateLimit, longest_s: float
    ) -> None:
        self._settings, self._link, self._source, self._speaker, self._says = settings, link, source, speaker, says
        self._longest_s = longest_s
        self._lock = threading.Lock()  # guards the holder and the notes
        self._holder = 0
        self._session: ResumableSession | None = None
        self._notes: list[tuple[int, Report | None]] = []
        self._watched: list[Watched] = []
        self._since_s = self._heard_s = time.monotonic()
        self._opening = False

    def open(self, owner: str, request: LiveRequest, live: LiveOptions, visemes: bool, id: str, secret: str) -> Reply:
        """Begun; held by nobody yet. live, visemes: what the request, which was checked, wants."""
        self._opening = True
        try:
            drawn = LiveSession(RemoteRenderer(self._source, self._link, live), live, visemes)
            self._session = session = resumable(drawn, owner, request, self._speaker, self._settings, self._says, id=id, secret=secret)
            session.watchers.append(self._watched.append)
            session.produce(0.0)  # tells what is ready
        except Exception as error:
            return Reply(None, as_values(error), 0, 0, True, 0.0, ())
        finally:
            self._heard_s, self._opening = time.monotonic(), False
        return self._reply(session, Begun(session.engine, dict(session.metadata), session.about))

    def attach(self, owner: str, secret: str) -> Reply:
        """Another connection holds it from now on; those before it have it no longer. The holder's number."""
        session = self._session
        if session is None or session.closed or session.owner != owner or not hmac.compare_digest(session.secret.encode(), secret.encode()):
            return Reply(None, as_values(UnknownLiveSession(KEPT_S)), 0, 0, True, 0.0, ())
        with self._lock:
            self._holder += 1
            self._heard_s = time.monotonic()
            holder = self._holder
        return self._reply(session, (holder, Begun(session.engine, dict(session.metadata), session.about), session.request))

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        """One of `calls`, by whoever holds the session; for others it is over."""
        session = self._session
        if session is None or holder != self._holder:
            return Reply(None, None, 0, 0, True, 0.0, ())
        self._heard_s = time.monotonic()
        try:
            return self._reply(session, self.calls[name](self, session, *arguments))
        except Exception as error:
            return replace(self._reply(session, None), error=as_values(error))

    def spoken(self, renderer: int, number: int, n: int, piece: Piece) -> bool:
        """As `RemoteSpeaker.take`."""
        return self._speaker.take(renderer, number, n, piece)

    def left_s(self, owner: str) -> float | None:
        """How long no connection of the owner was heard of; for ever where it is over, and its process about to end; None where one was
        just now, or it is another's.
        """
        if self._session is None or self._session.owner != owner:
            return None
        silent_s = math.inf if self._session.closed else time.monotonic() - self._heard_s
        return silent_s if silent_s > 1.0 else None

    @property
    def over(self) -> bool:
        """Nobody needs it any more: it was closed, left for long (also before it was opened), or has lasted for as long as one may."""
        now_s = time.monotonic()
        left = not self._opening and now_s - self._heard_s > KEPT_S
        closed = self._session is not None and self._session.closed
        return closed or left or now_s - self._since_s > self._longest_s + KEPT_S

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._link.close()

    # ---- calls

    def _produce(self, session: ResumableSession, timeout_s: float) -> list[Watched]:
        """What is due, packets too."""
        session.produce(timeout_s)
        watched = self._watched[:]
        self._watched.clear()
        return watched

    def _missed(self, session: ResumableSession, last: int, last_event: int | None) -> tuple[bool, list[LiveMessage]]:
        missed = session.missed(last, last_event)
        return missed.gap, missed.messages

    def _take(self, session: ResumableSession, messages: Sequence[Numbered]) -> tuple[int, Mapping[str, Any] | None]:
        """How many of them count, one after the other, before there was no room; and why the last of those was refused."""
        for n, (number, message) in enumerate(messages):
            try:
                if not session.take(_Place(number), message):
                    return n, None
            except InputError as error:  # it counts
                return n + 1, as_values(error)
        return len(messages), None

    def _say(self, session: ResumableSession, request: SayRequest, key: int) -> None:
        session.say(request, lambda report: self._note(key, report), lambda: self._note(key, None))

    def _end_of_utterance(self, session: ResumableSession) -> None:
        session.end_of_utterance()

    def _close(self, session: ResumableSession) -> None:
        self.close()

    calls: Mapping[str, Callable[..., Any]] = {
        "produce": _produce,
        "missed": _missed,
        "take": _take,
        "say": _say,
        "hear": lambda self, session, samples, rate_hz: session.hear(samples, rate_hz),
        "end_of_utterance": _end_of_utterance,
        "interrupt": lambda self, session: session.interrupt(),
        "request_keyframe": lambda self, session: session.request_keyframe(),
        "close": _close,
    }

    def _note(self, key: int, report: Report | None) -> None:
        with self._lock:
            self._notes.append((key, report))

    def _reply(self, session: ResumableSession, value: Any) -> Reply:
        with self._lock:
            notes, self._notes = self._notes, []
        return Reply(value, None, session.received, session.generation, session.closed, session.buffered_s, notes)


def packets_and_messages(watched: Sequence[Watched]) -> list[LiveMessage]:
    """Of what a session made: what its client is sent."""
    return [each for each in watched if not isinstance(each, LivePacket)]
