"""The cache of finished videos, from which an identical request is answered.

    results/<owner>/<key>/       info.json  video.mp4

The key is a digest of everything that decides a frame, a sample or a word of metadata; so there is nothing to invalidate. A hit is a copy,
never a link: who overwrites their video in place must not change ours, and copying a usual video takes a few milliseconds, in which its
checksum is verified as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import hashlib
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import OutputError, disk_error
from core.generation import GenerationInfo
from core.optimization.cache_folder import CacheFolder, checked_json, no_check, read_checked

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of keys and entries."""
MARKER, VIDEO = "info.json", "video.mp4"
SHARED = "shared"
CHUNK_BYTES = 1 << 20
CLOCK_SLACK_S = 3600.0
"""An entry that is younger than nothing by more than this was made while the clock was wrong: its age is not known, so it goes."""


class InferenceCache:
    """Thread-safe, and safe with other processes.

    limit_bytes: of all videos together; those unused longest go first. ttl_s: from their making. shared: one owner's videos answer
    another's requests as well.
    """

    def __init__(self, folder: CacheFolder, limit_bytes: int, ttl_s: float, shared: bool) -> None:
        self._folder, self._limit_bytes, self._ttl_s, self._shared = folder, limit_bytes, ttl_s, shared
        self._lock = threading.Lock()
        self._counts = {"hits": 0, "misses": 0, "evictions": 0}
        self._saved_s = 0.0
        self._newest: Path | None = None
        self._too_large = False

    def key(self, owner: str, parts: Mapping[str, Any]) -> str | None:
        """The key of a request, from all its inputs by name; None where an input has no digest, so that its video cannot be kept."""
        try:
            text = json.dumps([FORMAT, canonical(parts)])
        except TypeError as error:
            log.info("a request cannot be kept: %s", error)
            return None
        return self._folder.digest("result", self._whose(owner), text)

    def locked(self, key: str, check: Callable[[], None] = no_check) -> contextlib.AbstractContextManager[None]:
        """A lock for the caller that makes a video; others that need the same one wait, then find it or, if that failed, make it."""
        return self._folder.locked(key, check, self._trim_late)

    def find(self, owner: str, key: str, output: Path) -> GenerationInfo | None:
        """Puts the kept video at `output`, and says what was known of it; None where there is none. Raises OutputError."""
        started = time.perf_counter()
        entry = self._entry(owner, key)
        try:
            about = read_checked((entry / MARKER).read_bytes())
            if self._expired(entry):
                raise ValueError("it is too old")
            info = GenerationInfo.from_dict(about["info"])
            if not _copy_whole(entry / VIDEO, output, about["bytes"], about["sha256"]):
                raise ValueError("the video does not fit its checksum")
        except FileNotFoundError:
            info = None
        except OSError as error:
            log.warning("a kept video cannot be read: %s", error)
            info = None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("a kept video is dropped: %s", error)
            with contextlib.suppress(OutputError):  # of a read-only folder: it is not used at the next look either
                self._folder.remove(entry)
            info = None
        if info is not None:
            self._folder.mark_used(self._subfolder, entry / MARKER)
        with self._lock:
            self._counts["hits"] += info is not None
            if info is not None:
                self._saved_s += max(0.0, info.wall_s - (time.perf_counter() - started))
        return info

    def put(self, owner: str, key: str, video: Path, info: GenerationInfo, source_sha256: str) -> None:
        """Keeps a video that was just made. That it cannot be kept is no error.

        source_sha256: of the photo or video it shows, by which `forget` finds it.
        """
        with self._lock:
            self._counts["misses"] += 1
        staged = None
        try:
            staged = self._folder.staged()
            size, sha256 = _copy(video, staged / VIDEO)
            about = {"info": info.to_dict(), "bytes": size, "sha256": sha256, "source": self._folder.digest("source", source_sha256)}
            (staged / MARKER).write_bytes(checked_json(about))
            entry = self._entry(owner, key)
            if not self._folder.publish(staged, entry):
                self._folder.remove(entry)  # what stood there was not found good a moment ago
                self._folder.publish(staged, entry)
            self._folder.mark_used(self._subfolder, entry / MARKER)
            self._trim(entry)
        except (OSError, OutputError) as error:
            log.warning("a video cannot be kept: %s", error)
        finally:
            if staged is not None:
                shutil.rmtree(staged, ignore_errors=True)

    def forget(self, owner: str, source_sha256: str) -> int:
        """Removes every video of a person. Bytes freed."""
        return self.forget_of(self._folder.digest("owner", owner), source_sha256)

    def forget_of(self, owner_name: str, source_sha256: str) -> int:
        """owner_name: the digest of the owner."""
        source, freed = self._folder.digest("source", source_sha256), 0
        folder = self._folder.digest("owner", SHARED) if self._shared else owner_name
        for entry in self._folder.entries(self._subfolder, MARKER, folder):
            try:
                shown = read_checked((entry.path / MARKER).read_bytes())["source"]
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                shown = source  # who it shows cannot be told any more
            if shown == source:
                freed += self._folder.remove(entry.path)
        return freed

    def clear(self, owner: str | None) -> int:
        """Removes the videos of one owner (those shared with others are not theirs alone, and stay), or (None) all. Bytes freed."""
        paths = list(self._subfolder.glob("*")) if owner is None else [self._subfolder / self._folder.digest("owner", owner)]
        return sum(self._folder.remove(path) for path in paths if path.is_dir())

    def stats(self) -> dict[str, float]:
        """Counts are of this process, entries and bytes of the folder."""
        entries = self._folder.entries(self._subfolder, MARKER)
        with self._lock:
            counts = {**self._counts, "time_saved_s": round(self._saved_s, 3)}
        return {**counts, "entries": len(entries), "bytes": sum(entry.nbytes for entry in entries), "max_bytes": self._limit_bytes}

    @property
    def _subfolder(self) -> Path:
        return self._folder.subfolder("results")

    def _whose(self, owner: str) -> str:
        return SHARED if self._shared else f"owner {owner}"

    def _owner_name(self, owner: str) -> str:
        return self._folder.digest("owner", SHARED if self._shared else owner)

    def _entry(self, owner: str, key: str) -> Path:
        return self._subfolder / self._owner_name(owner) / key

    def _expired(self, entry: Path) -> bool:
        """By the folder's own time, which is that of its making."""
        try:
            return not -CLOCK_SLACK_S <= time.time() - entry.stat().st_mtime <= self._ttl_s
        except OSError:
            return True

    def _trim(self, newest: Path) -> None:
        gone = 0
        for entry in self._folder.entries(self._subfolder, MARKER):
            if entry.path != newest and self._expired(entry.path):
                with contextlib.suppress(OutputError):
                    self._folder.remove(entry.path)
                    gone += 1
        trimmed = self._folder.trim(self._subfolder, MARKER, self._limit_bytes, {newest})
        self._newest, self._too_large = newest, trimmed.too_large
        with self._lock:
            self._counts["evictions"] += gone + trimmed.gone

    def _trim_late(self) -> None:
        """Makes the room that could not be made while videos were locked."""
        if self._too_large and self._newest is not None:
            self._trim(self._newest)


def canonical(value: Any) -> Any:
    """The same plain JSON value for values that mean the same, another for others. TypeError for what it does not know.

    Lists and tuples are alike, mappings have no order, arrays count by type, shape and content.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, enum.Enum):
        return {"enum": f"{type(value).__name__}.{value.name}"}
    if isinstance(value, int | float | np.integer | np.floating | np.bool_):
        return {"number": repr(value.item() if isinstance(value, np.generic) else value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Path):
        return {"path": str(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"fields": {field.name: canonical(getattr(value, field.name)) for field in sorted_fields(value)}}
    if isinstance(value, Mapping):
        return {"mapping": sorted(([canonical(key), canonical(item)] for key, item in value.items()), key=json.dumps)}
    if isinstance(value, Sequence):
        return {"list": [canonical(item) for item in value]}
    if isinstance(value, set | frozenset):
        return {"set": sorted((canonical(item) for item in value), key=json.dumps)}
    if hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        if array.dtype.hasobject:
            raise TypeError("an array of objects has no content to compare")
        return {"array": [array.dtype.str, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]}
    raise TypeError(f"a {type(value).__name__} is not known")


def sorted_fields(value: Any) -> list[Any]:
    return sorted(dataclasses.fields(value), key=lambda field: field.name)


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Size and sha256 of what was copied."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read, target.open("xb") as write:
        while chunk := read.read(CHUNK_BYTES):
            digest.update(chunk)
            write.write(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _copy_whole(video: Path, output: Path, size: int, sha256: str) -> bool:
    """Copies beside `output` and moves into place what is as it should be; False, and nothing done, for anything else.

    FileNotFoundError where the video is gone. OutputError where `output` cannot be written.
    """
    if not video.is_file():
        raise FileNotFoundError(video)
    target = output.resolve()
    part = target.with_name(f".{secrets.token_hex(8)}.mp4.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if _copy(video, part) != (size, sha256):
            return False
        os.replace(part, target)
    except FileNotFoundError:
        if not video.is_file():  # it made room for another just now
            raise
        raise OutputError(f"{output} cannot be written: its folder is gone.", "Choose another place.") from None
    except OSError as error:
        raise disk_error(error, f"{output} cannot be written", "Choose a place you may write to.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return True
