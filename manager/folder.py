"""The folder of the checkpoints: private, with one writer at a time and a record of verified files.

    <folder>/ditto_pytorch/models/decoder.pth    as in the repository
    <folder>/.partial/                           what has arrived of unfinished files
    <folder>/.verified.json                      size, time and digest of every file that was verified
    <folder>/.lock
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.errors import Cancelled
from manager.errors import FolderError

TEMPORARY_FOLDER = Path("/tmp/ditto_models")  # noqa: S108 - where checkpoints went at first; used where they are there and ours
PERSISTENT = Path("/data")
FOLDER_VARIABLE = "DITTO_MODELS_DIR"
LOCK_POLL_S = 0.1
HASH_CHUNK_BYTES = 4 * 2**20


def chosen_folder() -> tuple[Path, bool]:
    """The default folder of the checkpoints, and whether a person chose it (DITTO_MODELS_DIR).

    Without a choice it is TEMPORARY_FOLDER where it is there and ours, else the user's cache folder, which outlives a restart.
    """
    chosen = os.environ.get(FOLDER_VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute(), True
    if os.environ.get("SPACE_ID") and os.access(PERSISTENT, os.W_OK):
        return PERSISTENT / "talking-head" / "ditto_models", False  # the persistent storage of a Space: fetched once, not at every start
    return (TEMPORARY_FOLDER if _is_ours(TEMPORARY_FOLDER) else _cache_folder()), False


def _is_ours(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _cache_folder() -> Path:
    """In the user's cache; TEMPORARY_FOLDER for a user without a home."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "talking-head" / "ditto_models" if os.path.isabs(cache) else TEMPORARY_FOLDER


def check_cancelled(cancel: threading.Event | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled("The download was cancelled.", "What has arrived is kept; the next download goes on from there.")


def digest(path: Path, algorithm: str = "sha256", cancel: threading.Event | None = None) -> str:
    """Hex digest of a file: "sha256", or "git" (the SHA-1 under which git, and so the Hub, knows small files)."""
    with path.open("rb") as stream:
        if algorithm == "git":
            made = hashlib.sha1(b"blob %d\0" % os.fstat(stream.fileno()).st_size, usedforsecurity=False)
        else:
            made = hashlib.sha256()
        while chunk := stream.read(HASH_CHUNK_BYTES):
            check_cancelled(cancel)
            made.update(chunk)
    return made.hexdigest()


class Folder:
    """One folder of checkpoints. Making the object touches nothing.

    A folder that a person chose is used as it is, as long as it belongs to them or to root. The default one lies where everybody can
    write, so it must be a real folder of our own, and is closed to everybody else.
    """

    def __init__(self, path: Path, *, chosen: bool) -> None:
        self.path = path
        self.chosen = chosen

    def file(self, relative: str) -> Path:
        return self.path / relative

    def partial(self, relative: str, revision: str) -> Path:
        return self.path / ".partial" / f"{relative.replace('/', '__')}.{revision[:12]}"

    def partials(self, relative: str) -> list[Path]:
        """The unfinished file, of whatever revision."""
        return sorted((self.path / ".partial").glob(f"{glob.escape(relative.replace('/', '__'))}.*"))

    @property
    def exists(self) -> bool:
        return os.path.lexists(self.path)

    def open(self) -> None:
        """Makes the folder where it is missing, closes it to others, and refuses one that is not ours. Raises FolderError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
        except OSError as error:
            raise FolderError(f"The folder {self.path} cannot be made: {error.strerror}.", _elsewhere()) from error
        self.check()
        if not self.chosen:
            self._close_to_others()

    def check(self) -> None:
        """Refuses a folder that is not ours; changes nothing. Raises FolderError."""
        found = self.path.stat() if self.chosen and self.path.exists() else self.path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise FolderError(f"{self.path} is a symbolic link; whoever made it could exchange the checkpoints.", _elsewhere())
        if not stat.S_ISDIR(found.st_mode):
            raise FolderError(f"{self.path} is not a folder.", _elsewhere())
        if found.st_uid != os.geteuid() and not (self.chosen and found.st_uid == 0):
            raise FolderError(f"{self.path} belongs to another user (id {found.st_uid}), who could exchange the checkpoints.", _elsewhere())

    def _close_to_others(self) -> None:
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            if mode != 0o700:
                os.fchmod(handle, 0o700)
        finally:
            os.close(handle)
        if mode & 0o022:  # others could write until now: nothing that lies here is trusted before it is verified again
            for parent, folders, files in os.walk(self.path):
                for name in folders + files:
                    found = os.lstat(os.path.join(parent, name))
                    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
                        path = os.path.join(parent, name)
                        raise FolderError(f"{path} was put there by another user, or is a symbolic link.", "Remove it.")
            self._record_file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, cancel: threading.Event | None = None, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Holds the folder against other processes and threads; `waiting` is called once where somebody else holds it.

        A folder that cannot be written to needs no lock.
        """
        from filelock import FileLock, Timeout

        if not self.writable:
            yield
            return
        lock = FileLock(self.path / ".lock", thread_local=False)
        told = False
        while True:
            check_cancelled(cancel)
            try:
                lock.acquire(timeout=LOCK_POLL_S, poll_interval=LOCK_POLL_S / 2)
                break
            except Timeout:
                if waiting is not None and not told:
                    waiting()
                told = True
            except OSError as error:
                raise FolderError(f"The folder {self.path} cannot be written to: {error.strerror or error}.", _elsewhere()) from error
        try:
            yield
        finally:
            lock.release()

    @property
    def writable(self) -> bool:
        """Not so for checkpoints that an administrator put in place for everybody."""
        return os.access(self.path, os.W_OK | os.X_OK)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    def size(self, relative: str) -> int | None:
        """Bytes of a file here; None where there is none. Raises FolderError for anything but a regular file."""
        path = self.file(relative)
        try:
            found = path.lstat() if not self.chosen else path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            raise FolderError(f"{path} is not a regular file.", "Remove it.")
        return found.st_size

    def move_in(self, partial: Path, relative: str) -> Path:
        """Puts a finished file in its place, in one step."""
        target = self.file(relative)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, target)
        return target

    @property
    def _record_file(self) -> Path:
        return self.path / ".verified.json"

    def records(self) -> dict[str, dict[str, Any]]:
        try:
            records = json.loads(self._record_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {k: v for k, v in records.items() if isinstance(v, dict)} if isinstance(records, dict) else {}

    def record(self, key: str, path: Path, revision: str, algorithm: str, value: str) -> None:
        """Remembers that `path` was verified, as long as its size and time stay. Hold the lock."""
        found = path.stat()
        entry = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "revision": revision, "algorithm": algorithm, "digest": value}
        self._write_records({**self.records(), key: entry})

    def distrust(self, *keys: str) -> None:
        """Remembers only which digest these files should have: they are hashed before they are used again. Hold the lock."""
        records = self.records()
        if records.keys() & set(keys):
            self._write_records({k: {**v, "mtime_ns": None} if k in keys else v for k, v in records.items()})

    def forget(self, *keys: str) -> None:
        """Hold the lock."""
        records = self.records()
        if records.keys() & set(keys):
            self._write_records({k: v for k, v in records.items() if k not in keys})

    def _write_records(self, records: dict[str, dict[str, Any]]) -> None:
        if not self.writable:
            return
        beside = self._record_file.with_suffix(".new")
        beside.write_text(json.dumps(records, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(beside, self._record_file)


def still_as_recorded(record: dict[str, Any] | None, path: Path, revision: str, sha256: str | None) -> bool:
    """Whether `path` is, by size and time, the file that was verified, and the one that is wanted now."""
    if record is None or record.get("revision") != revision:
        return False
    if sha256 is not None and (record.get("algorithm"), record.get("digest")) != ("sha256", sha256):
        return False
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and (record.get("size"), record.get("mtime_ns")) == (found.st_size, found.st_mtime_ns)


def _elsewhere() -> str:
    return f"Set {FOLDER_VARIABLE} to a folder of your own."
