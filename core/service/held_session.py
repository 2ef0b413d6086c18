"""A live session as the connections of this process hold it, wherever it is."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.service.live_messages import Attachment, ClientMessage, LiveMessage, LiveRequest, Missed, Place, SayRequest, Watched

Report = Mapping[str, Any]


def _nothing(*_: Any) -> None:
    return


class HeldSession(ABC):
    """`produce` and `take` are called on any thread, one of each at a time; the rest on any.

    id, secret: by which it is resumed. here: it lies in this process: what asks for little is taken without waiting for anybody, so also on
    an event loop, and it ends with the process. attachment: of the connection that has the session. free: no connection has it. left_s:
    since when. about: what the event "ready" told.
    """

    here: bool
    engine: str
    metadata: Mapping[str, str]

    def __init__(self, owner: str, request: LiveRequest, id: str, secret: str) -> None:
        self.owner, self.request, self.id, self.secret = owner, request, id, secret
        self.since_s = self.left_s = time.monotonic()
        self.about: dict[str, Any] = {}
        self.attachment: Attachment | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.expiry: asyncio.TimerHandle | None = None
        self.watchers: list[Callable[[Watched], None]] = []
        """Called with all that is made, for the client or for them alone, on the thread that calls `produce`."""

    @property
    @abstractmethod
    def received(self) -> int:
        """Messages of the client that were taken so far; the next one has this number."""

    @property
    @abstractmethod
    def closed(self) -> bool: ...

    @property
    @abstractmethod
    def generation(self) -> int: ...

    @property
    @abstractmethod
    def buffered_s(self) -> float:
        """Of sound that waits to be spoken."""

    def attach(self) -> None:  # noqa: B027 - a session of this process has nothing to do
        """A connection is about to take it; called on a thread, where it is not here. Raises UnknownLiveSession where it is over."""

    @abstractmethod
    def produce(self, timeout_s: float) -> list[LiveMessage]:
        """What is due, kept for another time; waits for it. Raises what the engine raised."""

    @abstractmethod
    def missed(self, last: int, last_event: int | None = None) -> Missed:
        """By a client that got the piece of sequence `last` last, and the event of that number; -1 for none. None: it does not count
        events; then it is told again of those behind that piece.
        """

    @abstractmethod
    def take(self, place: Place, message: ClientMessage) -> bool:
        """The next message of a connection. Nothing is done again: a client sends again what it has no word of.

        False: there is no room for it now; then nothing is counted, and it is tried again. Raises what is wrong with it; that is counted,
        since it would be refused again. A chunk of at most SMALL_CHUNK_BYTES that waits for no room is taken without waiting for anybody,
        wherever the session is; it may be counted in `received` a little later then.
        """

    def settle(self) -> None:  # noqa: B027 - a session of this process counts at once
        """Waits until all that was taken is counted in `received`; what cannot be soon is forgotten. Called on a thread, between two
        connections.
        """

    @abstractmethod
    def hear(self, samples: NDArray[np.int16], rate_hz: int) -> None:
        """Sound that comes beside the client's messages, (n,). Without room it is not spoken."""

    @abstractmethod
    def end_of_utterance(self) -> None: ...

    @abstractmethod
    def say(self, request: SayRequest, on_end: Callable[[Report], None] = _nothing, on_sound: Callable[[], None] = _nothing) -> None:
        """Takes a text; as `LiveSpeech.say`, and raises as that does."""

    @abstractmethod
    def interrupt(self) -> None:
        """Forgets the speech that was not sent yet, of texts too. Their `on_end` is called before this returns."""

    @abstractmethod
    def request_keyframe(self) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """It is over; waits for the step under way."""
