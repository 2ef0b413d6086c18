"""Small pictures of the faces in a photo, so that whoever uploaded it can choose who speaks."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.errors import TalkingHeadError
from core.service.requests import Requests
from core.studio import Studio
from core.types import Photo


class FacePreviews:
    """Thread-safe; used on one event loop at a time."""

    def __init__(self, studio: Studio, requests: Requests) -> None:
        self._studio, self._requests = studio, requests

    async def of(self, path: Path) -> list[bytes]:
        """The cut of each face of a photo as JPEG, the largest first; nothing where the photo cannot be used: that is said when it is."""
        if not path.is_file():
            return []
        try:
            photo = await self._requests.source(path)
            return await asyncio.to_thread(self._cuts, photo) if isinstance(photo, Photo) else []
        except TalkingHeadError:
            return []

    def _cuts(self, photo: Photo) -> list[bytes]:
        from core.engines.lite import LiteEngine  # imported when first needed: the page must answer before they are loaded
        from core.media.jpeg import as_jpeg

        engine = self._studio.engine("lite")
        with self._studio.scheduler.device_turn():
            cuts = engine.faces(photo) if isinstance(engine, LiteEngine) else []
        return [as_jpeg(cut) for cut in cuts]
