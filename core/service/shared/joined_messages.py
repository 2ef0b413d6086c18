"""Small pieces of sound on their way to a live session in another process: those that wait go together, in one call."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from core.service.live_messages import ClientMessage, Sound

MOST_BYTES = 32 * 1024
"""Of sound that waits here."""
MOST_S = 0.1
"""How long sound waits for more at most."""

Numbered = tuple[int, ClientMessage]
"""A message of the client with its number."""


class JoinedMessages:
    """Thread-safe. send: has messages taken; how many of them count, before there was no room, and what is wrong with the last of those.
    held_s: asked after each call, how long the next one may wait for more to go with it.

    A piece goes at once where none is under way and none is to wait; else with those that come meanwhile.
    """

    def __init__(self, send: Callable[[Sequence[Numbered]], tuple[int, Exception | None]], held_s: Callable[[], float]) -> None:
        self._send, self._held_s = send, held_s
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Sound]] = deque()
        self._n_bytes = self._hurries = 0
        self._next_s = 0.0
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._closed = False

    def put(self, number: int, sound: Sound) -> bool:
        """False: there is no room within its `wait_s`, nothing was taken. Raises what is wrong with one that came before."""
        until_s = time.monotonic() + sound.wait_s
        with self._changed:
            self._raise_earlier()
            while self._n_bytes and self._n_bytes + len(sound.chunk) > MOST_BYTES:
                left_s = until_s - time.monotonic()
                if self._closed or left_s <= 0 or not self._changed.wait(left_s):
                    return False
                self._raise_earlier()
            if self._closed:
                return False
            self._waiting.append((number, Sound(sound.chunk)))  # it waits for room there, whether or not it did here
            self._n_bytes += len(sound.chunk)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live-sound", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return True

    def settle(self, timeout_s: float) -> bool:
        """Waits until all of it was taken. Raises what is wrong with one of them."""
        until_s = time.monotonic() + timeout_s
        with self._changed:
            self._hurries += 1
            self._changed.notify_all()
            try:
                while self._waiting and not self._closed:
                    left_s = until_s - time.monotonic()
                    if left_s <= 0:
                        return False
                    self._changed.wait(left_s)
            finally:
                self._hurries -= 1
            self._raise_earlier()
            return True

    def forget(self) -> None:
        """What was not taken by now, but for the call under way."""
        with self._changed:
            self._waiting.clear()
            self._n_bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
        self.forget()

    def _raise_earlier(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._closed):
                    self._changed.wait()
                while not (self._hurries or self._closed) and (left_s := self._next_s - time.monotonic()) > 0:
                    self._changed.wait(left_s)
                if self._closed:
                    return
                messages = list(self._waiting)
            try:
                n, error = self._send(messages) if messages else (0, None)
            except Exception as raised:  # told to whoever gives the next one
                n, error = len(messages), raised
            with self._changed:
                self._error = self._error or error
                self._next_s = time.monotonic() + min(self._held_s(), MOST_S)
                for message in messages[:n]:
                    if self._waiting and self._waiting[0] is message:  # it may have been forgotten meanwhile
                        self._n_bytes -= len(self._waiting.popleft()[1].chunk)
                self._changed.notify_all()
