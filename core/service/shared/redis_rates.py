"""Limits of rate that the processes of several machines share: token buckets in Redis, by Redis' own clock."""

from __future__ import annotations

import logging
import threading
from typing import Any

import redis

logger = logging.getLogger(__name__)

TIMEOUT_S = 0.5
AWAY_S = 5.0
"""How often a Redis that did not answer is asked whether it is back; until then each process limits by itself."""
_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1e6
local most, number = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[1], 'left', 'since')
local left, since = tonumber(bucket[1] or most), tonumber(bucket[2] or now)
left = math.min(most, left + math.max(0, now - since) * most / 60)
local enough = left >= 1
if enough then left = left - number end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'since', tostring(now))
redis.call('PEXPIRE', KEYS[1], 61000)
if enough then return '0' end
return tostring((1 - left) * 60 / most)
"""
"""A bucket holds a minute's tokens, and fills evenly. Whoever was not seen for a minute has a full one, so nothing is kept of them."""


class RedisRates:
    """Thread-safe. url: as of `RedisNews`."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        self._script: Any = self._client.register_script(_TAKE)
        self._away, self._ending, self._lock = threading.Event(), threading.Event(), threading.Lock()

    def take(self, what: str, owner: str, per_minute: int, number: int) -> float | None:
        """number (0 or 1) of `per_minute` of `what`. Seconds until there is one, 0.0 where it was taken; None while Redis is away."""
        if self._away.is_set():
            return None
        try:
            waits: bytes = self._script(keys=[f"talking-head:rate:{what}:{owner}"], args=[per_minute, number])
        except (redis.RedisError, OSError) as error:
            self._lost(error)
            return None
        return float(waits)

    def close(self) -> None:
        self._ending.set()
        self._client.close()

    def _lost(self, error: Exception) -> None:
        """From now on a thread asks: whoever takes may be an event loop, which is held up once and not again and again."""
        with self._lock:
            if self._away.is_set() or self._ending.is_set():
                return
            self._away.set()
        logger.warning("Redis does not answer (%s): limits of rate hold for each process by itself", error)
        threading.Thread(target=self._look, name="rates", daemon=True).start()

    def _look(self) -> None:
        while not self._ending.wait(AWAY_S):
            try:
                self._client.ping()
            except (redis.RedisError, OSError):
                continue
            logger.warning("Redis answers again: limits of rate hold for all processes together")
            self._away.clear()
            return
