"""What a deployment marks its pictures with: the public pattern, and beside it, with a key of its own, a number of 32 bits."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

from core.media.mark import Mark
from core.media.mark_pattern import Tile, make_tile
from core.settings import Settings

ALGORITHM = "talking-head.mark.1"
"""Names the mark in metadata and manifests."""


@dataclass(frozen=True)
class Marker:
    """key: of the deployment; None: the public pattern only. payload: what the deployment's own pattern says, 0 .. 2**32 - 1."""

    key: bytes | None = None
    payload: int = 0

    def mark(self, width: int, height: int) -> Mark:
        """For the frames of one video or stream."""
        return Mark(width, height, _tile(self.key, self.payload))

    @property
    def statement(self) -> str:
        """What metadata and manifests say of it: the algorithm, and the number where there is one."""
        return ALGORITHM if self.key is None else f"{ALGORITHM} {self.payload:08x}"

    @property
    def fingerprint(self) -> str:
        """Tells apart what differently configured markers draw; says nothing of the key."""
        return hashlib.sha256(f"{self.statement} ".encode() + (self.key or b"")).hexdigest()


PUBLIC_MARKER = Marker()


def open_marker(settings: Settings) -> Marker:
    """The deployment's marker."""
    key = mark_key(settings)
    return PUBLIC_MARKER if key is None else Marker(key, settings.mark_id)


def mark_key(settings: Settings) -> bytes | None:
    """The deployment's own key, by which it finds its own videos; None where it has none."""
    return None if settings.mark_key is None else settings.mark_key.get_secret_value().encode()


@functools.lru_cache(maxsize=4)
def _tile(key: bytes | None, payload: int) -> Tile:
    return make_tile(key, payload)
