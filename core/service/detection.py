"""Reads for visitors and programs how a video is marked, so often and so many at a time as the settings allow."""

from __future__ import annotations

from pathlib import Path

from core.errors import InputError
from core.provenance.marking import mark_key
from core.provenance.reading import Provenance, read_all
from core.service.errors import hide_paths
from core.service.quotas import ConcurrencyLimit, RateLimit, SharedRates
from core.service.threads import on_thread
from core.settings import Settings

OWNER_AT_ONCE = 1


class Detection:
    """Used on an event loop; the reading is done on a thread, and nothing of a video is kept."""

    def __init__(self, settings: Settings, shared: SharedRates | None = None) -> None:
        self._key = mark_key(settings)
        self._rate = RateLimit(settings.detections_per_minute, "videos looked at for marks", shared)
        self._places = ConcurrencyLimit(settings.max_detections, OWNER_AT_ONCE, "videos that are looked at for marks")

    def check_room(self, owner: str) -> None:
        """Counts one that is about to be uploaded. Raises TooMany."""
        self._rate.take(owner)

    async def read(self, path: Path, owner: str) -> Provenance:
        """All marks of the video. Raises TooMany, and InputError where it is none."""
        with self._places.slot(owner):
            return await on_thread(self._read, path)

    def _read(self, path: Path) -> Provenance:
        try:
            return read_all(path, mark_key=self._key)
        except InputError as error:
            raise type(error)(hide_paths(error.message), error.hint, code=error.code, parameters=error.parameters) from None
