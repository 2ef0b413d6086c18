"""News between processes of several machines, over a channel of Redis."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable

import redis

from core.service.topics import MAX_TOPIC_BYTES

logger = logging.getLogger(__name__)

CHANNEL = "talking-head:news"
WAITING = 1000
"""News that wait to be sent while Redis is slow or away; what is beyond is lost, as news may be."""
TIMEOUT_S = 5.0
AGAIN_S = 1.0


class RedisNews:
    """`NewsChannel`. url: redis://[:PASSWORD@]HOST[:PORT]/NUMBER. While Redis is away, news of other processes come with the next look."""

    def __init__(self, url: str) -> None:
        options = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "health_check_interval": 15}
        self._client = redis.Redis.from_url(url, **options)
        self._heard: Callable[[str], None] = lambda topic: None
        self._outgoing: queue.Queue[str] = queue.Queue(WAITING)
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, name="news-in", daemon=True),
            threading.Thread(target=self._speak, name="news-out", daemon=True),
        ]
        self._away = False

    def open(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        for thread in self._threads:
            thread.start()

    def send(self, topic: str) -> None:
        with contextlib.suppress(queue.Full):
            self._outgoing.put_nowait(topic)

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(2.0)
        self._client.close()

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                with self._client.pubsub(ignore_subscribe_messages=True) as subscription:
                    subscription.subscribe(CHANNEL)
                    self._say(None)
                    while not self._ending.is_set():
                        message = subscription.get_message(timeout=0.5)
                        if message is not None and isinstance(message["data"], bytes):
                            self._heard(message["data"][:MAX_TOPIC_BYTES].decode(errors="replace"))
            except (redis.RedisError, OSError) as error:
                self._say(error)
                self._ending.wait(AGAIN_S)

    def _speak(self) -> None:
        while not self._ending.is_set():
            try:
                topic = self._outgoing.get(timeout=0.5)
            except queue.Empty:
                continue
            try:
                self._client.publish(CHANNEL, topic.encode()[:MAX_TOPIC_BYTES])
            except (redis.RedisError, OSError) as error:
                self._say(error)
                self._ending.wait(AGAIN_S)

    def _say(self, error: Exception | None) -> None:
        if error is not None and not self._away:
            logger.warning("Redis does not answer (%s): changes made by other machines are seen some seconds later", error)
        elif error is None and self._away:
            logger.warning("Redis answers again")
        self._away = error is not None
