"""The events of one conversation, numbered, the last of them kept: whoever comes back misses nothing and is told nothing twice."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal["answer", "text", "answer_done", "spoken", "cut", "latency", "video_ready", "idle_ready", "error", "gap"]
MAX_EVENTS = 4000
MAX_CHARS = 2**18
"""Of the texts in the events that are kept, about."""


@dataclass(frozen=True)
class ChatEvent:
    """data: plain JSON types; the `error` of an "error" is the exception."""

    number: int
    kind: EventKind
    data: dict[str, Any] = field(default_factory=dict, repr=False)


class EventLog:
    """Used on one event loop."""

    def __init__(self) -> None:
        self._events: deque[ChatEvent] = deque()
        self._chars = 0
        self._more = asyncio.Event()
        self._closed = False
        self.next_number = 0

    def add(self, kind: EventKind, data: dict[str, Any]) -> None:
        if self._closed:
            return
        self._events.append(ChatEvent(self.next_number, kind, data))
        self.next_number += 1
        self._chars += _chars(data)
        while len(self._events) > MAX_EVENTS or self._chars > MAX_CHARS:
            self._chars -= _chars(self._events.popleft().data)
        self._wake()

    def close(self) -> None:
        """Nothing follows."""
        self._closed = True
        self._wake()

    async def watch(self, last: int) -> AsyncIterator[ChatEvent]:
        """All events after the one of number `last`, as they come, until the log is closed. Where some of them are kept no longer, a "gap"
        comes in place of all that there are by then.
        """
        while True:
            first = self._events[0].number if self._events else self.next_number
            if last + 1 < first:
                last = self.next_number - 1
                yield ChatEvent(last, "gap")
            for event in [event for event in self._events if event.number > last]:
                last = event.number
                yield event
            more = self._more
            if last + 1 < self.next_number:
                continue
            if self._closed:
                return
            await more.wait()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()


def _chars(data: dict[str, Any]) -> int:
    return 64 + len(str(data.get("text", "")))
