"""Publish and subscribe among the threads and processes of one machine: whoever watches a topic is woken when something about it changes.

A topic is a name ("job:…", "owner:…"). News says only that something changed; who is woken looks what it was. Between processes it travels
as one datagram to each of the others, over sockets in a private folder, so nobody polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import socket
import stat
import tempfile
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_TOPIC_BYTES = 256
_STOP = b""


class Topics:
    """Thread-safe. key: processes with the same key hear each other; None: this process alone."""

    def __init__(self, key: str | None) -> None:
        self._watchers: dict[str, set[Callable[[], None]]] = defaultdict(set)
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._socket: socket.socket | None = None
        self._path: Path | None = None
        if key is not None:
            try:
                self._open(key)
            except OSError as error:  # other processes' news then come with the next look
                logger.warning("changes made by other processes are not told at once here (%s)", error)

    def publish(self, topic: str, everywhere: bool = True) -> None:
        """Wakes who watches the topic. Never waits, never raises. everywhere: in the other processes as well."""
        self._wake(topic)
        if not everywhere or self._socket is None or self._folder is None:
            return
        data = topic.encode()[:MAX_TOPIC_BYTES]
        for path in self._others():
            try:
                self._socket.sendto(data, socket.MSG_DONTWAIT, str(path))
            except (ConnectionRefusedError, FileNotFoundError):  # its process is gone
                path.unlink(missing_ok=True)
            except OSError:  # its buffer is full: it is behind, and will look when it gets to it
                pass

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
        sock, self._socket = self._socket, None
        if sock is not None and self._path is not None:
            with contextlib.suppress(OSError):
                sock.sendto(_STOP, str(self._path))
            self._path.unlink(missing_ok=True)

    def _wake(self, topic: str) -> None:
        with self._lock:
            listeners = list(self._watchers.get(topic, ()))
        for listener in listeners:
            listener()

    def _others(self) -> list[Path]:
        assert self._folder is not None  # noqa: S101 - where the socket is, its folder is
        with contextlib.suppress(OSError):
            return [path for path in self._folder.iterdir() if path != self._path]
        return []

    def _open(self, key: str) -> None:
        """In the temporary folder, since the path of a socket may have about a hundred bytes only."""
        name = hashlib.sha256(key.encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"talking-head-{os.getuid()}-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
            raise OSError(f"{folder} is not private")
        self._folder, self._path = folder, folder / secrets.token_hex(6)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.bind(str(self._path))
            sock.setblocking(True)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        threading.Thread(target=self._listen, args=(sock,), name="topics", daemon=True).start()

    def _listen(self, sock: socket.socket) -> None:
        with sock:
            while True:
                try:
                    data = sock.recv(MAX_TOPIC_BYTES)
                except OSError:
                    return
                if data == _STOP:
                    return
                self._wake(data.decode(errors="replace"))
