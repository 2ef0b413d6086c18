"""Publish and subscribe among threads and processes: whoever watches a topic is woken when something about it changes.

A topic is a name ("job:…", "owner:…"). News says only that something changed; who is woken looks what it was. How it travels between
processes: core/service/datagrams.py on one machine, core/service/shared/redis_news.py between several.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Protocol

MAX_TOPIC_BYTES = 256


class NewsChannel(Protocol):
    """Carries topics between processes. News may get lost: who watches also looks unasked from time to time."""

    def open(self, heard: Callable[[str], None]) -> None:
        """`heard` is called with each topic that another process (or this one) sent, on any thread."""

    def send(self, topic: str) -> None:
        """Never waits, never raises."""

    def close(self) -> None: ...


class Topics:
    """Thread-safe. channel: to other processes; None: this process alone."""

    def __init__(self, channel: NewsChannel | None) -> None:
        self._watchers: dict[str, set[Callable[[], None]]] = defaultdict(set)
        self._lock = threading.Lock()
        self._channel = channel
        if channel is not None:
            channel.open(self._wake)

    def publish(self, topic: str, everywhere: bool = True) -> None:
        """Wakes who watches the topic. Never waits, never raises. everywhere: in the other processes as well."""
        self._wake(topic)
        if everywhere and self._channel is not None:
            self._channel.send(topic)

    def subscribe(self, topic: str, listener: Callable[[], None]) -> Callable[[], None]:
        """`listener` is called at each piece of news, on any thread, and must not block. Returns what ends that."""
        with self._lock:
            self._watchers[topic].add(listener)

        def end() -> None:
            with self._lock:
                self._watchers[topic].discard(listener)
                if not self._watchers[topic]:
                    del self._watchers[topic]

        return end

    @contextlib.asynccontextmanager
    async def watch(self, *topics: str) -> AsyncIterator[asyncio.Event]:
        """An event of the running loop that is set at each piece of news about one of the topics; the watcher clears it."""
        changed, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(changed.set)

        ends = [self.subscribe(topic, tell) for topic in topics]
        try:
            yield changed
        finally:
            for end in ends:
                end()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def _wake(self, topic: str) -> None:
        with self._lock:
            listeners = list(self._watchers.get(topic, ()))
        for listener in listeners:
            listener()
