"""News between the processes of one machine: one datagram to each of the others, over sockets in a private folder, so nobody polls."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import socket
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from core.service.topics import MAX_TOPIC_BYTES

logger = logging.getLogger(__name__)

_STOP = b""


class Datagrams:
    """`NewsChannel`. key: processes with the same key hear each other. Thread-safe."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._heard: Callable[[str], None] = lambda topic: None
        self._folder: Path | None = None
        self._socket: socket.socket | None = None
        self._path: Path | None = None

    def open(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        try:
            self._open(self._key)
        except OSError as error:  # other processes' news then come with the next look
            logger.warning("changes made by other processes are not told at once here (%s)", error)

    def send(self, topic: str) -> None:
        if self._socket is None or self._folder is None:
            return
        data = topic.encode()[:MAX_TOPIC_BYTES]
        for path in self._others():
            try:
                self._socket.sendto(data, socket.MSG_DONTWAIT, str(path))
            except (ConnectionRefusedError, FileNotFoundError):  # its process is gone
                path.unlink(missing_ok=True)
            except OSError:  # its buffer is full: it is behind, and will look when it gets to it
                pass

    def close(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None and self._path is not None:
            with contextlib.suppress(OSError):
                sock.sendto(_STOP, str(self._path))
            self._path.unlink(missing_ok=True)

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
                self._heard(data.decode(errors="replace"))
