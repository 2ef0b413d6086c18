"""Photos that were decoded to show their faces, kept for a while for the video or the avatar that follows, within a bound of bytes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from pathlib import Path

from core.types import Photo

KEPT_S = 600.0
"""How long a visitor may take from choosing a photo to using it."""


class DecodedPhotos:
    """By owner and the SHA-256 of their file; those unused longest go first. A photo that alone is larger than `max_bytes` is not kept.
    Thread-safe.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, str], tuple[Photo, float]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, owner: str, photo: Photo) -> None:
        with self._lock:
            self._kept.pop((owner, photo.sha256), None)
            if photo.pixels.nbytes <= self._max_bytes:
                self._kept[owner, photo.sha256] = photo, time.monotonic()
                while self._nbytes() > self._max_bytes:
                    self._kept.popitem(last=False)

    def find(self, owner: str, file: Path) -> Photo | None:
        """The owner's photo that the file holds; None where it is not kept. Raises OSError where the file cannot be read."""
        with self._lock:
            if not any(each == owner for each, _ in self._kept):
                return None  # nothing is read for nothing
        with file.open("rb") as data:
            known = owner, hashlib.file_digest(data, "sha256").hexdigest()
        with self._lock:
            if known not in self._kept:
                return None
            photo, _ = self._kept[known]
            self._kept[known] = photo, time.monotonic()
            self._kept.move_to_end(known)
            return photo

    @property
    def nbytes(self) -> int:
        with self._lock:
            return self._nbytes()

    def sweep(self, now_s: float | None = None) -> None:
        """Lets go of what was not used for KEPT_S. now_s: as time.monotonic."""
        oldest_s = (time.monotonic() if now_s is None else now_s) - KEPT_S
        with self._lock:
            for known in [known for known, (_, used_s) in self._kept.items() if used_s < oldest_s]:
                del self._kept[known]

    def _nbytes(self) -> int:
        return sum(photo.pixels.nbytes for photo, _ in self._kept.values())
