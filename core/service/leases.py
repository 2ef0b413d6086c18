"""A lease on a folder: as long as anybody holds one, no process of the machine removes the folder to make room.

A lease is a shared lock of the system on the folder itself, so it ends with the process that holds it and leaves nothing on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.errors import disk_error


class Lease:
    """Held from its making to `close`. Raises FileNotFoundError where the folder is gone. Where a file system knows no such locks, nothing
    is held. May wait for the moment in which another process removes the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_SH)
            if not _still_there(folder, self._handle):
                raise FileNotFoundError(folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_UN)  # a child that is just being started has the handle, too, and would hold on
            os.close(self._handle)
        self._handle = -1

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def made_room(folder: Path) -> Lease:
    """The folder of a video that is to be made, so that nobody makes room with it. Raises OutputError, DiskFull."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Lease(folder)
    except OSError as error:
        raise disk_error(error, "The video cannot be written", "Make the folder for videos usable.") from error


@contextlib.contextmanager
def unleased(folder: Path) -> Iterator[bool]:
    """True where nobody holds a lease, and nobody gets one within the block; False where somebody holds one, or the folder is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        free = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        except OSError:  # a file system without locks
            pass
        yield free
    finally:
        os.close(handle)


def remove_unleased(folder: Path) -> bool:
    """Removes a folder and what is in it, unless somebody holds a lease. True where it is gone now."""
    with unleased(folder) as free:
        if free:
            shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()


def _still_there(folder: Path, handle: int) -> bool:
    try:
        return os.stat(folder).st_ino == os.fstat(handle).st_ino
    except OSError:
        return False
