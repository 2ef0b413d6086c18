"""A live session that lives in another process, as the connections of this one hold it."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import TalkingHeadError
from core.service.held_session import HeldSession, Report
from core.service.job_views import as_exception
from core.service.live_messages import (
    FEED_S,
    SMALL_CHUNK_BYTES,
    ClientMessage,
    LiveMessage,
    LiveRequest,
    Missed,
    Place,
    SayRequest,
    Sound,
    Watched,
)
from core.service.shared.joined_messages import JoinedMessages, Numbered
from core.service.shared.session_server import Begun, Reply, packets_and_messages
from core.streaming.outputs import LiveEvent

INTERRUPT_S = 1.0
"""How long an interrupt waits for what was spoken until then."""
SPOKEN_NEXT_S = 0.05
"""Of sound that is to be there while the person speaks: a frame's, and the way to it."""


class Line(Protocol):
    """Calls a session's SessionServer. A session whose process is gone answers as one that is closed."""

    def attach(self, owner: str, secret: str) -> Reply: ...

    def call(self, holder: int, name: str, *arguments: Any) -> Reply:
        """Calls of the same kind ("produce"; what is given in; the rest) are done in their order."""

    def post(self, holder: int, name: str, *arguments: Any) -> None:
        """The same without waiting for what comes of it."""


class RemoteSession(HeldSession):
    """begun: what it told when it was opened. `attach` comes before everything else."""

    here = False

    def __init__(self, line: Line, owner: str, request: LiveRequest, id: str, secret: str, begun: Begun) -> None:
        super().__init__(owner, request, id, secret)
        self._line = line
        self.engine, self.metadata, self.about = begun.engine, begun.metadata, dict(begun.about)
        self._holder = self._received = self._generation = 0
        self._attaching = 0
        self._closed = self._left = False
        self._buffered_s = 0.0
        self._flows = False  # the person speaks of what is sent now
        self._sound = JoinedMessages(self._taken, self._to_spare_s)
        self._keys = itertools.count()
        self._texts: dict[int, tuple[Callable[[Report], None], Callable[[], None]]] = {}
        self._lock = threading.Lock()

    @classmethod
    def found(cls, line: Line, owner: str, id: str, secret: str) -> RemoteSession | None:
        """One that another process began; None where it is over, or not the owner's."""
        reply = line.attach(owner, secret)
        if reply.error is not None:
            return None
        _, begun, request = reply.value
        return cls(line, owner, request, id, secret, begun)

    @property
    def received(self) -> int:
        return self._received

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def generation(self) -> int:
        return self._generation

    @property
    def buffered_s(self) -> float:
        return self._buffered_s

    def attach(self) -> None:
        """Connections of this process may follow one another: what an earlier one asks for meanwhile is answered as if it were over."""
        with self._lock:
            self._attaching += 1
        try:
            reply = self._line.attach(self.owner, self.secret)
            if reply.error is not None:
                raise as_exception(reply.error)
            with self._lock:
                self._holder = max(self._holder, reply.value[0])
        finally:
            with self._lock:
                self._attaching -= 1
        self._heed(reply)

    def produce(self, timeout_s: float) -> list[LiveMessage]:
        watched: list[Watched] = self._call("produce", timeout_s) or []
        for each in watched:
            if isinstance(each, LiveEvent) and each.kind in ("speaking", "idle", "interrupted"):
                self._flows = each.kind == "speaking"
            for watcher in list(self.watchers):
                watcher(each)
        return packets_and_messages(watched)

    def missed(self, last: int, last_event: int | None = None) -> Missed:
        missed = self._call("missed", last, last_event)
        return Missed(False, []) if missed is None else Missed(*missed)

    def take(self, place: Place, message: ClientMessage) -> bool:
        """Sound that comes as it is spoken goes in fewer calls than chunks. While nothing is spoken it goes at once, and else so that
        what is spoken next is there.
        """
        if isinstance(message, Sound) and len(message.chunk) <= SMALL_CHUNK_BYTES:
            taken = self._sound.put(place.next_number, message)
        else:
            self._flows = False  # another utterance may begin, and should soon
            if not self._sound.settle(FEED_S):
                return False
            n, error = self._taken([(place.next_number, message)])
            taken = n == 1
            if error is not None:
                place.next_number += n
                raise error
        place.next_number += taken
        return taken

    def settle(self) -> None:
        with contextlib.suppress(TalkingHeadError):  # whoever gave it is gone
            self._sound.settle(FEED_S)
        self._sound.forget()

    def hear(self, samples: NDArray[np.int16], rate_hz: int) -> None:
        self._line.post(self._holder, "hear", samples, rate_hz)

    def end_of_utterance(self) -> None:
        self._line.post(self._holder, "end_of_utterance")

    def say(
        self, request: SayRequest, on_end: Callable[[Report], None] = lambda report: None, on_sound: Callable[[], None] = lambda: None
    ) -> None:
        key = next(self._keys)
        self._texts[key] = (on_end, on_sound)
        try:
            self._call("say", request, key)
        except BaseException:
            del self._texts[key]
            raise

    def interrupt(self) -> None:
        """Also called on event loops: while another renderer takes the session over, it does not wait for that."""
        asked = threading.Thread(target=self._call, args=("interrupt",), name="interrupt", daemon=True)
        asked.start()
        asked.join(INTERRUPT_S)

    def request_keyframe(self) -> None:
        self._line.post(self._holder, "request_keyframe")

    def close(self) -> None:
        """Another process that holds it by now goes on with it."""
        self._closed = True
        self._sound.close()
        self._line.call(self._holder, "close")

    def _taken(self, messages: Sequence[Numbered]) -> tuple[int, Exception | None]:
        """How many of them count as taken, and what is wrong with the last of those."""
        n, error = self._call("take", messages) or (0, None)
        return n, None if error is None else as_exception(error)

    def _to_spare_s(self) -> float:
        return max(0.0, self._buffered_s - SPOKEN_NEXT_S) if self._flows else 0.0

    def _call(self, name: str, *arguments: Any) -> Any:
        holder = self._holder
        reply = self._line.call(holder, name, *arguments)
        with self._lock:
            if reply.closed and (self._attaching or holder != self._holder):
                return None
        self._heed(reply)
        if reply.error is not None:
            raise as_exception(reply.error)
        return reply.value

    def _heed(self, reply: Reply) -> None:
        if reply.closed:
            self._closed = True
            self._sound.close()
            return
        self._received, self._generation, self._buffered_s = max(self._received, reply.received), reply.generation, reply.buffered_s
        with self._lock:
            for key, report in reply.notes:
                on_end, on_sound = self._texts.get(key, (None, None))
                if report is None and on_sound is not None:
                    on_sound()
                elif report is not None and on_end is not None:
                    del self._texts[key]
                    on_end(report)
