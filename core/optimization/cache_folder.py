"""The private folder on the disk that the caches share between processes, consistent after any crash.

What is written is written in a folder of this process's own first and moved to its place in one step, so a reader meets whole entries only.
The own folder is guarded by a lock that the system releases when the process dies; the next process removes what it left. An entry is a
folder `subfolder/owner/name` with a JSON file in it, whose modification time says when the entry was last used.

The folder may vanish, fill up or turn read-only at any moment: it is made again where that is possible, what lies in a read-only one can be
read, and who cannot write is told so by OutputError or DiskFull.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.errors import DiskFull, OutputError, disk_error

log = logging.getLogger(__name__)

LOCK_POLL_S = 0.02
_HINT = "Name another folder with TALKING_HEAD_CACHE_DIR."


def no_check() -> None:
    """For who waits without anything that could call them off."""


@dataclass(frozen=True)
class Entry:
    """One entry of a subfolder. used_ns: when it was last used, by the subfolder's own clock."""

    path: Path
    nbytes: int
    used_ns: int


@dataclass(frozen=True)
class Trimmed:
    """What making room did. gone: entries removed. too_large: what is in use or locked kept the subfolder above its limit."""

    gone: int
    too_large: bool


class CacheFolder:
    """Nothing is touched before the first use. Thread-safe. Raises OutputError where the folder cannot be used for what is asked."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._own: Path | None = None
        self._own_lock: FileLock | None = None
        self._secret = b""
        self._preparing = threading.Lock()

    def subfolder(self, name: str) -> Path:
        """The path of the entries of one kind, which need not exist."""
        return self.root / name

    def make_subfolder(self, name: str) -> Path:
        """The same path; the folder is made where it does not exist."""
        self._prepare()
        folder = self.root / name
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        return folder

    def check(self) -> None:
        """Raises OutputError or DiskFull where nothing could be kept here now, by trying."""
        trial = self.staged()
        try:
            (trial / "data").write_bytes(b"x" * 65_536)
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            shutil.rmtree(trial, ignore_errors=True)

    def digest(self, *parts: str) -> str:
        """40 hex digits that depend on `parts` and on this folder's key: without the key they tell nothing and cannot be guessed."""
        message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
        return hmac.new(self._key(), message, hashlib.sha256).hexdigest()[:40]

    def _key(self) -> bytes:
        """What a read-only folder holds can be found as well: where it has a key already, nothing needs to be written."""
        if not self._secret:
            try:
                self._prepare()
            except OutputError:
                if not (self.root / "key").is_file():
                    raise
                try:
                    _check_private(self.root)
                    self._secret = _secret(self.root / "key", self.root / "parts", b"")
                except OSError as error:
                    raise self._unusable(error) from error
        return self._secret

    def share_key(self, settle: Callable[[bytes], bytes]) -> bytes:
        """The key is exchanged for that of all machines. settle: gives that, for the own one, which becomes it where there is none.

        Raises OutputError where avatars were made with another key: they could not be found any more.
        """
        self._prepare()
        key = settle(self._secret)
        if key != self._secret:
            if any((self.root / "avatars").glob("*/*")):
                raise OutputError(f"The folder for caches, {self.root}, has avatars that the other machines do not know.", _HINT)
            staged = self.staged()
            try:
                (staged / "key").touch(mode=0o600)
                (staged / "key").write_bytes(key)
                sync(staged / "key")
                (staged / "key").replace(self.root / "key")
            except OSError as error:
                raise self._unusable(error) from error
            finally:
                shutil.rmtree(staged, ignore_errors=True)
            self._secret = key
        return key

    def use_key(self, key: bytes) -> None:
        """Of a folder whose key was just exchanged by `share_key`."""
        self._secret = key

    @contextlib.contextmanager
    def locked(self, name: str, check: Callable[[], None] = no_check, released: Callable[[], None] = no_check) -> Iterator[None]:
        """Holds the lock `name` against all threads and processes. `check` is called while waiting; what it raises ends the wait.
        `released` is called when the lock is free again: what was locked may make room now.

        Where the folder takes no locks, nothing is held: work is then done twice at worst, since entries are published in one step.
        """
        lock = self._acquired(name, check)
        try:
            yield
        finally:
            if lock is not None:
                _release(lock)
            released()

    def _acquired(self, name: str, check: Callable[[], None]) -> FileLock | None:
        try:
            self._prepare()
            lock = FileLock(self.root / "locks" / name, thread_local=False)
            while True:
                try:
                    lock.acquire(timeout=0)
                    return lock
                except Timeout:
                    check()
                    time.sleep(LOCK_POLL_S)
        except (OSError, OutputError) as error:
            log.debug("no lock %s: %s", name, error)
            return None

    def staged(self) -> Path:
        """A new empty folder to make an entry in. `publish` moves it away; else it is the caller's to remove."""
        own = self._prepare()
        folder = own / secrets.token_hex(8)
        try:
            folder.mkdir()
        except OSError as error:
            raise self._unusable(error) from error
        return folder

    def publish(self, staged: Path, target: Path, durable: bool = False) -> bool:
        """Moves a staged entry to `target` in one step; False, and nothing done, where there is one already.

        durable: once done, it survives a power cut.
        """
        if durable:
            for path in (*staged.iterdir(), staged):
                sync(path)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            staged.rename(target)
        except OSError:
            if target.is_dir():
                return False
            raise
        if durable:
            sync(target.parent)
        return True

    def write_into(self, path: Path, data: bytes) -> None:
        """Puts a file into an entry, or replaces it, in one step. FileNotFoundError where the entry is gone."""
        staged = self.staged()
        try:
            part = staged / path.name
            part.write_bytes(data)
            sync(part)
            part.replace(path)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def remove(self, path: Path) -> int:
        """Takes an entry, or a whole subfolder, out of sight in one step, then deletes it. The bytes freed; 0 where it was gone already."""
        freed = nbytes_of(path)
        try:
            trash = self.staged()
        except OutputError as error:
            if not isinstance(error, DiskFull):
                raise
            shutil.rmtree(path, ignore_errors=True)  # a full disk has no room for an empty folder either; this makes some
            return freed
        try:
            path.rename(trash / "gone")
        except FileNotFoundError:
            freed = 0
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            shutil.rmtree(trash, ignore_errors=True)
        return freed

    def mark_used(self, subfolder: Path, marker: Path) -> None:
        """Makes an entry the one used last: later than all marked before, whatever the computer's clock says now."""
        clock = subfolder / ".clock"
        with contextlib.suppress(OSError):  # the entry was removed meanwhile; or the disk is read-only, and order is all that is lost
            os.close(os.open(clock, os.O_CREAT | os.O_RDONLY, 0o600))  # unlike `touch`, leaves its time as it is
            tick = max(time.time_ns(), clock.stat().st_mtime_ns + 1)
            os.utime(clock, ns=(tick, tick))
            os.utime(marker, ns=(tick, tick))

    def trim(self, subfolder: Path, marker: str, limit_bytes: int, keep: Collection[Path]) -> Trimmed:
        """Removes entries, those unused longest first, until the subfolder holds `limit_bytes` at most.

        Entries of `keep`, and those somebody holds the lock of, stay.
        """
        entries = sorted(self.entries(subfolder, marker), key=lambda entry: entry.used_ns)
        total = sum(entry.nbytes for entry in entries)
        gone = 0
        for entry in entries:
            if total <= limit_bytes:
                break
            if entry.path in keep:
                continue
            lock = FileLock(self.root / "locks" / entry.path.name, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except (Timeout, OSError):
                continue
            try:
                self.remove(entry.path)
            except OutputError as error:
                log.warning("a cache cannot make room: %s", error)
                break
            finally:
                _release(lock)
            total -= entry.nbytes
            gone += 1
        return Trimmed(gone, total > limit_bytes)

    def entries(self, subfolder: Path, marker: str, owner: str = "*") -> list[Entry]:
        """All entries, or those in one owner's folder. One without its marker is damage, and the first to go."""
        found = []
        for path in subfolder.glob(f"{owner}/*"):
            try:
                used_ns = (path / marker).stat().st_mtime_ns
            except OSError:
                used_ns = 0
            found.append(Entry(path, nbytes_of(path), used_ns))
        return found

    def close(self) -> None:
        """Removes what is half done. The object can be used again."""
        with self._preparing:
            if self._own is not None:
                shutil.rmtree(self._own, ignore_errors=True)
            self._forget_own()

    def _prepare(self) -> Path:
        """The own folder, made where it is not there, or not there any more."""
        with self._preparing:
            if self._own is not None and self._own.is_dir() and (self.root / "locks").is_dir():
                return self._own
            self._forget_own()
            try:
                for folder in (self.root, *(self.root / name for name in ("locks", "parts", "avatars", "results"))):
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    _check_private(folder)
                self._secret = _secret(self.root / "key", self.root / "parts", self._secret)
                self._remove_leftovers()
                name = secrets.token_hex(8)
                own_lock = FileLock(self.root / "parts" / f"{name}.lock", thread_local=False)
                own_lock.acquire(timeout=0)
                own = self.root / "parts" / name
                try:
                    own.mkdir(mode=0o700)
                except OSError:
                    _release(own_lock)
                    raise
            except OSError as error:
                raise self._unusable(error) from error
            self._own, self._own_lock = own, own_lock
            return own

    def _forget_own(self) -> None:
        if self._own_lock is not None:
            _release(self._own_lock)
        self._own = self._own_lock = None

    def _unusable(self, error: OSError) -> OutputError:
        return disk_error(error, f"The folder for caches, {self.root}, cannot be used", _HINT)

    def _remove_leftovers(self) -> None:
        """Removes the folders of processes that were killed, whose locks nobody holds any more."""
        for path in (self.root / "parts").glob("*.lock"):
            lock = FileLock(path, thread_local=False)
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                _release(lock)


def checked_json(values: Mapping[str, Any]) -> bytes:
    """Plain JSON values as a file that `read_checked` takes."""
    text = json.dumps(values, sort_keys=True)
    return json.dumps({**values, "checksum": hashlib.sha256(text.encode()).hexdigest()}, indent=1).encode()


def read_checked(data: bytes) -> dict[str, Any]:
    """Raises ValueError, KeyError or the like where the file is not what was written."""
    values: dict[str, Any] = json.loads(data)
    checksum = values.pop("checksum")
    if hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest() != checksum:
        raise ValueError("its description does not fit its checksum")
    return values


def nbytes_of(path: Path) -> int:
    """Size of all files below `path`, as far as they are still there."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _release(lock: FileLock) -> None:
    """The file goes while the lock is held: whoever waits for it notices, and makes it anew."""
    with contextlib.suppress(OSError):  # of a folder that turned read-only
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _check_private(folder: Path) -> None:
    """Raises OutputError where another user could read or exchange the files: what lies here are people's faces."""
    if folder.stat().st_uid != os.getuid() or folder.lstat().st_uid not in (os.getuid(), 0):  # lstat: of a link that leads there
        raise OutputError(f"The folder for caches, {folder}, belongs to another user.", _HINT)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def _secret(path: Path, parts: Path, known: bytes) -> bytes:
    """The 32 random bytes of this folder, made when they are first needed, by one process. known: those of a folder that vanished."""
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        part = parts / f"key-{secrets.token_hex(8)}"
        try:
            part.touch(mode=0o600)
            part.write_bytes(known or secrets.token_bytes(32))
            sync(part)
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
        secret = path.read_bytes()
    if len(secret) != 32:
        raise OutputError(f"The key of the caches, {path}, is damaged.", "Remove the whole folder: its avatars cannot be found any more.")
    return secret
