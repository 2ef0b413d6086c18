"""The avatars on the disk.

    avatars/<owner>/<token>/     avatar.json  source  thumbnail.jpg  [thumbnail.webp]  lite.safetensors  ditto.safetensors

`source` is what every registration can be made anew from: a photo as lossless PNG of its decoded pixels (no metadata of the camera left), a
video as it came. One safetensors file for each engine holds what that engine needs so that it looks for no face again. The files say
which revision of the engine made them, and carry checksums; what is damaged or old is made anew from the source.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import hashlib
import json
import logging
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors

from core.engines.base import Engine, Registration
from core.errors import AvatarError, BusyError, OptionError, OutputError, disk_error
from core.optimization.avatar_files import as_json, framing_values, from_json, packed, registration_file, unpacked
from core.optimization.cache_folder import CacheFolder, Entry, nbytes_of, no_check
from core.optimization.shared_avatars import MARKER, SharedAvatars
from core.request import Avatar, Framing
from core.types import Source

log = logging.getLogger(__name__)

MAX_NAME = 80
_TOKEN = re.compile(r"[0-9a-f]{40}")


class AvatarStore:
    """The avatars on the disk. Thread-safe, and safe with other processes.

    limit_bytes: of all avatars together; those unused longest go first. max_avatars: of one owner.
    """

    def __init__(self, folder: CacheFolder, limit_bytes: int, max_avatars: int) -> None:
        self._folder, self._limit_bytes, self._max_avatars = folder, limit_bytes, max_avatars
        self._in_use: Counter[Path] = Counter()
        self._newest: Path | None = None
        self._too_large = False
        self._lock = threading.Lock()
        self.evictions = 0
        self.shared: SharedAvatars | None = None
        """Where all machines find them; None where there is but one. Then what reads and changes avatars raises BusyError while it is
        away.
        """

    def token(self, owner: str, sha256: str, framing: Framing) -> str:
        """The same source of the same owner, read the same way, always has the same token."""
        return self._folder.digest("avatar", owner, sha256, json.dumps(framing_values(framing), sort_keys=True))

    def find(self, token: str, owner: str) -> Avatar | None:
        try:
            path = self._path(token, owner)
            if self.shared is not None:
                with _keeping():
                    self.shared.refresh(path)
            return self._read(path, owner)
        except OutputError as error:
            log.warning("avatars cannot be looked up: %s", error)
            return None

    def get(self, token: str, owner: str) -> Avatar:
        """Raises AvatarError, in the same words for a token of another owner and for none at all."""
        avatar = self.find(token, owner)
        if avatar is None:
            raise unknown(token)
        return avatar

    def list(self, owner: str) -> list[Avatar]:
        """The newest first; none where the folder cannot be read."""
        try:
            entries = self._entries(owner)
        except OutputError as error:
            log.warning("avatars cannot be listed: %s", error)
            return []
        avatars = [avatar for entry in entries if (avatar := self._read(entry.path, owner)) is not None]
        return sorted(avatars, key=lambda avatar: (-avatar.created_s, avatar.token))

    def check_room(self, owner: str) -> None:
        """Raises OptionError where the owner has `max_avatars` already."""
        n = len(self._entries(owner))
        if n >= self._max_avatars:
            text = f"There are {n} avatars already, as many as one may have."
            raise OptionError(text, "Delete one that is not needed any more.", code="too_many_avatars", parameters={"n": n})

    def put(
        self, avatar: Avatar, source: bytes, thumbnail: bytes, engine: Engine, registration: Registration, moving: bytes | None = None
    ) -> Avatar:
        """Keeps a new avatar and its registration by one engine, in the place of what is there. Raises OutputError where that fails.

        moving: a thumbnail that moves.
        """
        path = self._path(avatar.token, avatar.owner)
        staged = self._folder.staged()
        try:
            with _keeping():
                (staged / "source").write_bytes(source)
                (staged / "thumbnail.jpg").write_bytes(thumbnail)
                if moving is not None:
                    (staged / "thumbnail.webp").write_bytes(moving)
                (staged / registration_file(engine.name)).write_bytes(packed(engine, registration))
                (staged / MARKER).write_bytes(as_json(avatar, hashlib.sha256(source).hexdigest()))
                if not self._folder.publish(staged, path, durable=True):
                    self._folder.remove(path)  # a folder without a description: damage
                    self._folder.publish(staged, path, durable=True)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        self.mark_used(avatar)
        self._trim(path)
        return self.get(avatar.token, avatar.owner)

    def share(self, token: str, owner: str) -> None:
        """Puts a new avatar where all machines find it. Raises AvatarError where it is gone."""
        if self.shared is not None:
            self.get(token, owner)
            with _keeping():
                self.shared.push(self._path(token, owner))

    def source(self, avatar: Avatar) -> bytes:
        """The stored bytes of the source. Raises AvatarError, and drops the avatar, where they are damaged."""
        path = self._path(avatar.token, avatar.owner)
        self._bring(path / "source")
        try:
            about = json.loads((path / MARKER).read_bytes())
            data = (path / "source").read_bytes()
        except (OSError, ValueError):
            data, about = b"", {}
        if hashlib.sha256(data).hexdigest() != about.get("source_sha256"):
            log.warning("the kept source of avatar %s is damaged: the avatar is dropped", avatar.token[:8])
            self._drop(path)
            raise AvatarError("The kept photo of this avatar is damaged.", "Register the person again.", code="avatar_damaged")
        return data

    def thumbnail(self, avatar: Avatar) -> bytes | None:
        """JPEG; None where it is damaged."""
        path = self._path(avatar.token, avatar.owner)
        self._bring(path / "thumbnail.jpg")
        with contextlib.suppress(OSError):
            data = (path / "thumbnail.jpg").read_bytes()
            if data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9":
                return data
        return None

    def moving_thumbnail(self, avatar: Avatar) -> bytes | None:
        """Animated WebP; None of a photo, or where it is damaged."""
        path = self._path(avatar.token, avatar.owner) / "thumbnail.webp"
        if avatar.kind == "video":
            self._bring(path)
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            if data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 == len(data):
                return data
        return None

    def put_thumbnail(self, avatar: Avatar, thumbnail: bytes) -> None:
        with contextlib.suppress(OSError, OutputError, BusyError):  # it will be made again
            self._write(self._path(avatar.token, avatar.owner) / "thumbnail.jpg", thumbnail)

    def restore(self, avatar: Avatar, engine: Engine, source: Callable[[], Source]) -> Registration | None:
        """The registration that this revision of the engine saved; None where there is none, it is damaged, or of a format that is no more.

        source: reads the source of the avatar, as in `Engine.restore`.
        """
        path = self._path(avatar.token, avatar.owner)
        self._bring(path / registration_file(engine.name))
        try:
            saved = unpacked(path / registration_file(engine.name), engine.revision)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            log.warning("what the %s engine kept of avatar %s is damaged (%s): it is made anew", engine.name, avatar.token[:8], error)
            return None
        try:
            return None if saved is None else engine.restore(saved, source)
        except (KeyError, ValueError):
            return None

    def mark_used(self, avatar: Avatar) -> None:
        """The avatars unused longest make room for new ones."""
        path = self._path(avatar.token, avatar.owner)
        self._folder.mark_used(self._subfolder, path / MARKER)
        if self.shared is not None:
            self.shared.mark_used(path)

    def save(self, avatar: Avatar, engine: Engine, registration: Registration) -> None:
        """Keeps a registration made later. That it cannot be kept is no error: it is made again next time."""
        path = self._path(avatar.token, avatar.owner)
        try:
            self._write(path / registration_file(engine.name), packed(engine, registration))
        except (OSError, OutputError, BusyError) as error:
            log.warning("a registration of avatar %s cannot be kept: %s", avatar.token[:8], error)
        self._trim(path)

    def rename(self, avatar: Avatar, name: str, consent: bool = False) -> Avatar:
        """consent: it is declared now, where it was not before; what was declared stays."""
        now = dataclasses.replace(avatar, name=clean_name(name), consent=avatar.consent or consent)
        path = self._path(avatar.token, avatar.owner)
        try:
            about = json.loads((path / MARKER).read_bytes())
            self._write(path / MARKER, as_json(now, about["source_sha256"]))
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise unknown(avatar.token) from error
        except OSError as error:
            raise disk_error(error, "The avatar cannot be renamed", "Is the folder for caches writable?") from error
        self.mark_used(avatar)
        return self.get(avatar.token, avatar.owner)

    def delete(self, avatar: Avatar) -> int:
        """Bytes freed. What other machines have fetched of it goes there at their next look."""
        path = self._path(avatar.token, avatar.owner)
        if self.shared is not None:
            self.shared.drop(path)
        return self._folder.remove(path)

    def clear(self, owner: str | None) -> int:
        """Deletes the avatars of one owner, or (None) of all. Bytes freed."""
        if self.shared is not None:
            self.shared.clear("" if owner is None else self._owner_name(owner))
        paths = list(self._subfolder.glob("*")) if owner is None else [self._subfolder / self._owner_name(owner)]
        return sum(self._folder.remove(path) for path in paths if path.is_dir())

    def locked(self, token: str, check: Callable[[], None] = no_check) -> contextlib.AbstractContextManager[None]:
        """A lock on an avatar, to be held while it is made or read, so that the work is done once."""
        return self._folder.locked(token, check, self._trim_late)

    @contextlib.contextmanager
    def using(self, avatar: Avatar) -> Iterator[None]:
        """While a job of this process works with it, an avatar makes no room for others."""
        path = self._path(avatar.token, avatar.owner)
        with self._lock:
            self._in_use[path] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_use[path] -= 1
                if not self._in_use[path]:
                    del self._in_use[path]
            self._trim_late()

    def stats(self) -> dict[str, int]:
        entries = self._folder.entries(self._subfolder, MARKER)
        return {
            "entries": len(entries), "bytes": sum(entry.nbytes for entry in entries), "max_bytes": self._limit_bytes,
            "evictions": self.evictions,
        }  # fmt: skip

    @property
    def _subfolder(self) -> Path:
        return self._folder.subfolder("avatars")

    def _owner_name(self, owner: str) -> str:
        return self._folder.digest("owner", owner)

    def _entries(self, owner: str) -> builtins.list[Entry]:
        name = self._owner_name(owner)
        if self.shared is not None:
            with _keeping():
                self.shared.refresh_all(self._subfolder / name)
        return self._folder.entries(self._subfolder, MARKER, name)

    def _bring(self, path: Path) -> None:
        """Fetches a file that another machine made."""
        if self.shared is not None:
            with _keeping():
                self.shared.bring(path)

    def _write(self, path: Path, data: bytes) -> None:
        """Puts a file into an avatar's folder, for all machines first. FileNotFoundError where the folder is gone."""
        if self.shared is not None:
            self.shared.push_file(path, data)
        self._folder.write_into(path, data)

    def _path(self, token: str, owner: str) -> Path:
        if not _TOKEN.fullmatch(token):
            raise unknown(token)
        return self._subfolder / self._owner_name(owner) / token

    def _read(self, path: Path, owner: str) -> Avatar | None:
        """The avatar in a folder; None where there is none, or it is damaged beyond use, and then it is dropped."""
        try:
            data = (path / MARKER).read_bytes()
        except OSError:
            return None
        try:
            return from_json(data, path.name, owner, (self.shared and self.shared.nbytes(path)) or nbytes_of(path))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("avatar %s is damaged (%s): it is dropped", path.name[:8], error)
            self._drop(path)
            return None

    def _drop(self, path: Path) -> None:
        with contextlib.suppress(OutputError):  # a read-only folder: it is damaged at the next look as well
            self._folder.remove(path)

    def _trim(self, newest: Path | None) -> None:
        with self._lock:
            self._newest = newest
            keep = {path for path in (newest, *self._in_use) if path is not None}
        trimmed = self._folder.trim(self._subfolder, MARKER, self._limit_bytes, keep)
        self.evictions += trimmed.gone
        self._too_large = trimmed.too_large

    def _trim_late(self) -> None:
        """Makes the room that could not be made while avatars were in use or locked."""
        if self._too_large:
            self._trim(self._newest)


@contextlib.contextmanager
def _keeping() -> Iterator[None]:
    """Raises OutputError for what the disk does."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, "The avatar cannot be kept", "Is the folder for caches there, and writable?") from error


def unknown(token: str) -> AvatarError:
    shown = token if _TOKEN.fullmatch(token) else f"{token[:12]}…"
    return AvatarError(f"There is no avatar {shown}.", "List the avatars to see which there are.", code="unknown_avatar")


def new_avatar(token: str, owner: str, name: str, framing: Framing, **about: Any) -> Avatar:
    return Avatar(token=token, owner=owner, name=clean_name(name), framing=framing, created_s=round(time.time(), 3), **about)


def clean_name(name: str) -> str:
    """One line of printable characters. Raises OptionError where it is too long."""
    cleaned = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    if len(cleaned) > MAX_NAME:
        text = f"The name has {len(cleaned)} characters."
        raise OptionError(
            text, f"At most {MAX_NAME} are possible.", code="name_too_long", parameters={"n": len(cleaned), "limit": MAX_NAME}
        )
    return cleaned
