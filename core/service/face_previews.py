"""Small pictures of the faces in a photo, so that whoever uploaded it can choose who speaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from core.errors import TalkingHeadError
from core.service.decoded_photos import DecodedPhotos
from core.service.outputs import OutputFolder
from core.service.requests import Requests
from core.service.threads import on_thread
from core.studio import Studio
from core.types import Photo

AT_ONCE = 2
"""Photos that are decoded and looked at at the same time; those that wait hold nothing."""
MAX_WAITING = 200
"""Visitors that wait; further ones are shown no faces."""


@dataclass(frozen=True, eq=False)
class _Preview:
    path: Path
    task: asyncio.Task[list[bytes]]


class FacePreviews:
    """photos: where a decoded photo is put for the request that follows. Used on one event loop at a time."""

    def __init__(self, studio: Studio, requests: Requests, outputs: OutputFolder, photos: DecodedPhotos) -> None:
        self._studio, self._requests, self._outputs, self._photos = studio, requests, outputs, photos
        self._places = asyncio.Semaphore(AT_ONCE)
        self._newest: dict[str, _Preview] = {}

    async def of(self, path: Path, owner: str) -> list[bytes] | None:
        """The cut of each face of a photo as JPEG, the largest first; nothing where the photo cannot be used: that is said when it is.

        None where the owner asked for another photo's meanwhile: the newest replaces the one before. Who asks again is told the same.
        """
        preview = self._newest.get(owner)
        if preview is None or preview.path != path:
            if preview is not None:
                preview.task.cancel()
            elif len(self._newest) >= MAX_WAITING:
                return []
            preview = self._newest[owner] = _Preview(path, asyncio.create_task(self._made(path, owner)))
            preview.task.add_done_callback(lambda task: self._forget(owner, task))
        try:
            return await asyncio.shield(preview.task)
        except asyncio.CancelledError:
            asking = asyncio.current_task()
            if asking is not None and asking.cancelling():
                raise
            return None

    def _forget(self, owner: str, task: asyncio.Task[list[bytes]]) -> None:
        if self._newest[owner].task is task:
            del self._newest[owner]

    async def _made(self, path: Path, owner: str) -> list[bytes]:
        async with self._places:
            try:
                with self._outputs.using(path):
                    photo = await self._requests.source(path, owner) if path.is_file() else None
                if not isinstance(photo, Photo):
                    return []
                self._photos.keep(owner, photo)
                return await on_thread(self._cuts, photo)
            except TalkingHeadError:
                return []

    def _cuts(self, photo: Photo) -> list[bytes]:
        from core.engines.lite import LiteEngine  # imported when first needed: the page must answer before they are loaded
        from core.media.jpeg import as_jpeg

        engine = self._studio.engine("lite")
        with self._studio.scheduler.device_turn():
            cuts = engine.faces(photo) if isinstance(engine, LiteEngine) else []
        return [as_jpeg(cut) for cut in cuts]
