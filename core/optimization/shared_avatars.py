"""The avatars that several machines have together: what is on the disk of each is a copy, as far as it was needed there."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import BusyError
from core.optimization.cache_folder import CacheFolder
from core.optimization.shared_folder import SharedFolder, StoredFile

MARKER = "avatar.json"
"""The description of an avatar, without which it is none."""
STAMP = ".shared"
"""Beside it on the disk: which version of the description this is, and how many bytes all machines keep; none of one not yet shared."""
USED = "used"
"""An empty object: when the avatar was last used."""
FRESH_S = 1.0
"""How long what was found of an avatar is believed: others may have renamed or deleted it since."""
USED_S = 86_400.0
"""How often it is noted that an avatar is used."""
SWEPT_S, UNMARKED_S = 600.0, 3600.0
"""How often all are looked through; how old files without a description are before they go: it is what is put there last."""
MANY = 10_000
_ENTRY = re.compile(r"[0-9a-f]{40}/[0-9a-f]{40}")


@dataclass
class _Stored:
    """What the store has of one avatar."""

    nbytes: int = 0
    used_s: float = 0.0
    marked: bool = False


class SharedAvatars:
    """here: the folder on the disk, where they lie in avatars/OWNER/TOKEN. gone: told of one that was deleted elsewhere, OWNER and the
    SHA-256 of its source. Thread-safe. Raises as `ObjectStore`, and OSError.
    """

    def __init__(self, folder: SharedFolder, here: CacheFolder, gone: Callable[[str, str], object]) -> None:
        self._folder, self._here, self._gone = folder, here, gone
        self._looked_s: dict[str, float] = {}
        self._swept_s = time.monotonic()

    def refresh(self, entry: Path) -> None:
        """The description of one avatar as it is now; where it was deleted, what is here of it goes."""
        owner, name = entry.parent.name, _name(entry)
        if not self._is_fresh(owner) and not self._is_fresh(name):
            self._settle(entry, {one.name.rpartition("/")[2]: one for one in self._folder.list(name)})
            self._note(name)

    def refresh_all(self, owner: Path) -> None:
        """As `refresh`, of all avatars of an owner."""
        if self._is_fresh(owner.name):
            return
        stored: dict[str, dict[str, StoredFile]] = defaultdict(dict)
        for one in self._folder.list(owner.name):
            entry, _, file = one.name.rpartition("/")
            if _ENTRY.fullmatch(entry):
                stored[entry.partition("/")[2]][file] = one
        known = {path.name for path in owner.iterdir()} if owner.is_dir() else set()
        for token in known | set(stored):
            self._settle(owner / token, stored.get(token, {}))
        self._note(owner.name)

    def bring(self, path: Path) -> None:
        """One file of an avatar, where it is not here and another machine may have it."""
        if not path.is_file() and _stamp(path.parent):
            self._folder.fetch(f"{_name(path.parent)}/{path.name}", path)

    def push(self, entry: Path) -> None:
        """All of an avatar that is here, where it is not shared yet."""
        if _stamp(entry):
            return
        for path in sorted(entry.iterdir(), key=lambda path: path.name == MARKER):  # the description last
            if not path.name.startswith("."):
                self._folder.push(f"{_name(entry)}/{path.name}", path)
        self._settle(entry, {one.name.rpartition("/")[2]: one for one in self._folder.list(_name(entry))})

    def push_file(self, path: Path, data: bytes) -> None:
        """One file of an avatar that is shared already; the others go with the avatar when it is."""
        if _stamp(path.parent):
            self._folder.push(f"{_name(path.parent)}/{path.name}", data)

    def mark_used(self, entry: Path) -> None:
        """Left out while the store is away."""
        with contextlib.suppress(OSError, BusyError):
            used = entry / f".{USED}"
            if _stamp(entry) and not (used.exists() and time.time() - used.stat().st_mtime < USED_S):
                self._folder.push(f"{_name(entry)}/{USED}", b"")
                used.touch()

    def drop(self, entry: Path) -> None:
        self._folder.drop(_name(entry), first=MARKER)
        self._looked_s.pop(_name(entry), None)

    def clear(self, owner: str) -> None:
        """owner: the name of the folder; "" for all."""
        self._folder.drop_files([one.name for one in self._folder.list(owner)])

    def nbytes(self, entry: Path) -> int:
        """Of an avatar, wherever its files are; 0 where it is not shared."""
        stamp = _stamp(entry)
        return int(stamp[1]) if stamp else 0

    def sweep(self, limit_bytes: int) -> None:
        """Now and then: what belongs to no avatar goes, then avatars beyond the limit, those unused longest first; and what is here of
        avatars that are gone.
        """
        if time.monotonic() - self._swept_s < SWEPT_S:
            return
        self._swept_s, begun_s = time.monotonic(), time.time()
        now_s = self._folder.store.now_s()
        stored: dict[str, _Stored] = defaultdict(_Stored)
        for one in self._folder.list():
            entry, _, file = one.name.rpartition("/")
            if not _ENTRY.fullmatch(entry):
                continue  # somebody else's
            about = stored[entry]
            about.nbytes, about.used_s = about.nbytes + one.nbytes, max(about.used_s, one.changed_s)
            about.marked |= file == MARKER
        total = sum(about.nbytes for about in stored.values())
        for name, about in sorted(stored.items(), key=lambda item: (item[1].marked, item[1].used_s)):
            if now_s - about.used_s > UNMARKED_S and (not about.marked or total > limit_bytes):
                total -= about.nbytes
                self._folder.drop(name, first=MARKER)
                about.marked = False
        for path in self._here.subfolder("avatars").glob(f"*/*/{STAMP}"):
            with contextlib.suppress(OSError):
                known = stored.get(_name(path.parent))
                if (known is None or not known.marked) and path.stat().st_mtime < begun_s:
                    self._remove(path.parent)

    def _settle(self, entry: Path, stored: dict[str, StoredFile]) -> None:
        """Makes the description on the disk that of the store."""
        marker, stamp = stored.get(MARKER), _stamp(entry)
        if marker is None:
            if stamp:
                self._remove(entry)
            return
        wanted = (marker.version, str(sum(one.nbytes for one in stored.values())))
        if stamp[:1] != wanted[:1] and not self._folder.fetch(f"{_name(entry)}/{MARKER}", entry / MARKER, anew=True):
            return  # deleted in this moment
        if stamp != wanted:
            with contextlib.suppress(OSError):  # it made room in this moment
                (entry / STAMP).write_text("\n".join(wanted))

    def _remove(self, entry: Path) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self._gone(entry.parent.name, str(json.loads((entry / MARKER).read_bytes())["sha256"]))
        self._here.remove(entry)

    def _is_fresh(self, name: str) -> bool:
        return time.monotonic() - self._looked_s.get(name, float("-inf")) < FRESH_S

    def _note(self, name: str) -> None:
        if len(self._looked_s) > MANY:
            self._looked_s.clear()
        self._looked_s[name] = time.monotonic()


def _name(entry: Path) -> str:
    return f"{entry.parent.name}/{entry.name}"


def _stamp(entry: Path) -> tuple[str, ...]:
    try:
        return tuple((entry / STAMP).read_text().split("\n"))
    except OSError:
        return ()
