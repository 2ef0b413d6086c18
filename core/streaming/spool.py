"""Pieces of a stream that its reader has not taken yet: a little in memory, the rest in a file of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from core.errors import OutputError, disk_error
from core.media.segments import Segment
from core.optimization.cache_folder import CacheFolder

MEMORY_BYTES = 2**20
"""Of one stream: half a minute at the usual size, so a reader that keeps up needs no disk."""
SHARE = 4
"""One stream may take this part of the room of all."""
_WHAT, _HINT = "The stream cannot be kept for its reader", "Make the folder for caches usable."


def open_spool_file(cache: CacheFolder) -> BinaryIO:
    """A file without a name: nothing is left of it when it is closed, or the process ends. Raises OSError."""
    try:
        folder: Path | None = cache.make_subfolder("streams")
    except OutputError:  # without a cache, streams are kept among the temporary files
        folder = None
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


class SpoolRoom:
    """Bytes that all streams of a process may have on the disk. Thread-safe.

    open_file: gives a new empty file that nobody else can open, and that is gone once it is closed; raises OSError.
    """

    def __init__(self, limit_bytes: int, open_file: Callable[[], BinaryIO]) -> None:
        self.open_file = open_file
        self._limit, self._taken = limit_bytes, 0
        self._lock = threading.Lock()

    @property
    def taken_bytes(self) -> int:
        return self._taken

    def take(self, nbytes: int, own_bytes: int) -> None:
        """More for a stream that has `own_bytes`. Raises OutputError where that is too much, for it or for all."""
        with self._lock:
            if own_bytes + nbytes > self._limit // SHARE or self._taken + nbytes > self._limit:
                raise OutputError(
                    f"The reader of the stream is {own_bytes / 2**20:.0f} MiB behind.",
                    "Read it as it comes, or ask for a video instead.",
                    code="stream_unread",
                    parameters={"mib": round(own_bytes / 2**20)},
                )
            self._taken += nbytes

    def give_back(self, nbytes: int) -> None:
        with self._lock:
            self._taken -= nbytes


class Spool:
    """First in, first out. Not thread-safe. `put` never waits for `get`."""

    def __init__(self, room: SpoolRoom) -> None:
        self._room = room
        self._in_memory: deque[Segment] = deque()
        self._memory_bytes = 0
        self._on_disk: deque[tuple[Segment, int]] = deque()
        """Pieces without their data, and how long that is, from `_read_at` of the file on."""
        self._file: BinaryIO | None = None
        self._read_at = self._written = 0

    def put(self, segment: Segment) -> None:
        """Raises OutputError where the reader is too far behind or the file cannot be used, DiskFull where the disk is full."""
        nbytes = len(segment.data)
        if not self._on_disk and self._memory_bytes + nbytes <= MEMORY_BYTES:
            self._in_memory.append(segment)
            self._memory_bytes += nbytes
            return
        self._room.take(nbytes, self._written)
        try:
            if self._file is None:
                self._file = self._room.open_file()
            self._file.seek(self._written)
            self._file.write(segment.data)
            self._file.flush()
        except OSError as error:
            self._room.give_back(nbytes)
            raise disk_error(error, _WHAT, _HINT) from error
        self._written += nbytes
        self._on_disk.append((dataclasses.replace(segment, data=b""), nbytes))

    def get(self) -> Segment | None:
        """The oldest piece; None where there is none. Raises OutputError where it cannot be read again."""
        if self._in_memory:
            segment = self._in_memory.popleft()
            self._memory_bytes -= len(segment.data)
            return segment
        if not self._on_disk or self._file is None:
            return None
        bare, nbytes = self._on_disk.popleft()
        try:
            self._file.seek(self._read_at)
            data = self._file.read(nbytes)
            if len(data) < nbytes:
                raise OSError("the file is shorter than it was")
            self._read_at += nbytes
            if not self._on_disk:  # all was read: it begins anew
                self._file.truncate(0)
                self._room.give_back(self._written)
                self._read_at = self._written = 0
        except OSError as error:
            raise disk_error(error, _WHAT, _HINT) from error
        return dataclasses.replace(bare, data=data)

    def close(self) -> None:
        """Forgets what is left."""
        self._in_memory.clear()
        self._on_disk.clear()
        self._room.give_back(self._written)
        self._memory_bytes = self._read_at = self._written = 0
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written is not wanted any more
                self._file.close()
        self._file = None
