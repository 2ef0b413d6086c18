"""A folder whose files are kept in an object store, too, which several machines share: the folder of each is a cache of what is there."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.errors import OutputError

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}){0,3}")


@dataclass(frozen=True)
class StoredFile:
    """name: below the folder that was listed. changed_s: Unix time, by the store's clock. version: differs whenever the content does."""

    name: str
    nbytes: int
    changed_s: float
    version: str


class ObjectStore(Protocol):
    """Thread-safe. All raise BusyError with code "files_away" where the store does not answer, after some seconds."""

    @property
    def problem(self) -> str:
        """That it does not answer now; "" where it does. Tries, for a second at most."""

    def put(self, key: str, content: Path | bytes) -> None:
        """In one step: readers see all of it, or what was there before."""

    def get(self, key: str, max_bytes: int) -> Iterator[bytes] | None:
        """In pieces, all of one version; None where there is none. Raises BusyError also where it changes meanwhile, EngineUnavailable with
        the code "shared_file_large" where it is larger than max_bytes.
        """

    def now_s(self) -> float:
        """Unix time, by the clock that `StoredFile.changed_s` is told by."""

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """All below `prefix`, which ends with a slash, some at a time."""

    def remove(self, keys: Collection[str]) -> None:
        """Those that are gone are passed over."""


class SharedFolder:
    """Names are "folder/file" or deeper, of our own making: letters, digits, dots, dashes. Raises as `ObjectStore`, and for other names
    OutputError with the code "shared_file_name". Thread-safe.

    max_bytes: of one file that is fetched.
    """

    def __init__(self, store: ObjectStore, name: str, max_bytes: int) -> None:
        self.store, self._prefix, self._max_bytes = store, name, max_bytes
        self._fetching: dict[Path, threading.Lock] = {}
        self._lock = threading.Lock()

    def push(self, name: str, content: Path | bytes) -> None:
        self.store.put(self._key(name), content)

    def fetch(self, name: str, path: Path, *, anew: bool = False) -> bool:
        """Whether the file is at `path` now, fetched where it is not. anew: also where it is. It appears there in one step, whole.

        Raises OSError where it cannot be written.
        """
        if not anew and path.is_file():
            return True
        if not _NAME.fullmatch(name):  # strangers may name files, such as ones of the page
            return False
        key = self._key(name)
        with self._alone(path):
            if not anew and path.is_file():
                return True
            pieces = self.store.get(key, self._max_bytes)
            if pieces is None:
                return False
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = path.with_name(f".{secrets.token_hex(8)}.part")
            try:
                with part.open("xb") as file:
                    for piece in pieces:
                        file.write(piece)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        return True

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """Of one folder, or of all; named from here."""
        above = f"{folder}/" if folder else ""
        prefix = f"{self._key(folder)}/" if folder else f"{self._prefix}/"
        for one in self.store.list(prefix):
            yield StoredFile(above + one.name, one.nbytes, one.changed_s, one.version)

    def drop(self, folder: str, first: str = "") -> int:
        """Removes a folder. first: the file without which the others are nothing. Bytes freed."""
        files = list(self.list(folder))
        if any(one.name == f"{folder}/{first}" for one in files):
            self.store.remove([self._key(f"{folder}/{first}")])
        self.store.remove([self._key(one.name) for one in files])
        return sum(one.nbytes for one in files)

    def drop_files(self, names: Collection[str]) -> None:
        self.store.remove([self._key(name) for name in names])

    def drop_unknown(self, folders: Collection[str], age_s: float) -> int:
        """Removes what is in none of the folders and older than that: who made it ended before it was of use. No machine's clock has a part
        in it.
        """
        before_s = self.store.now_s() - age_s
        gone = [one.name for one in self.list() if one.name.partition("/")[0] not in folders and one.changed_s < before_s]
        self.drop_files([name for name in gone if _NAME.fullmatch(name)])
        return len(gone)

    def _key(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise OutputError(
                f"The file {name[:100]!r} cannot be kept in the shared store of files.",
                "Name it with at most 200 letters, digits, dots and dashes.", code="shared_file_name", parameters={"name": name[:100]},
            )  # fmt: skip
        return f"{self._prefix}/{name}"

    @contextlib.contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """One fetches a file, the others wait and find it."""
        with self._lock:
            lock = self._fetching.setdefault(path, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._lock:
                if not lock.locked():
                    self._fetching.pop(path, None)
