"""Single pictures of a person as a video with certain options would show them, for those who try options out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import BusyError
from core.request import Avatar
from core.service import options
from core.service.outputs import OutputFolder
from core.service.requests import Requests
from core.service.threads import on_thread
from core.studio import Studio
from core.types import Photo, Source

AT_ONCE, MAX_WAITING = 2, 100
SIZE_PX = 256
"""Shorter side of a still."""


class Stills:
    """Drawn by the lite engine from the registration that the video will use, too. Used on one event loop at a time."""

    def __init__(self, studio: Studio, requests: Requests, outputs: OutputFolder) -> None:
        self._studio, self._requests, self._outputs = studio, requests, outputs
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def of(
        self, person: Path | str, owner: str, chosen: Mapping[str, Any], shown: str, background: Path | None = None
    ) -> bytes:  # fmt: skip
        """JPEG. person: a photo, or the token of an avatar. chosen: options by name. shown: as in `LiteEngine.still`. background: a picture
        behind the person.

        Raises InputError, FaceError, AvatarError, OptionError for what a video would not be made of; BusyError where too many wait.
        """
        if self._waiting >= MAX_WAITING:
            raise BusyError("Too many pictures are being drawn.", "Try again in a moment.", code="queue_full")
        self._waiting += 1
        try:
            async with self._places:
                with self._outputs.using(person if isinstance(person, Path) else None, background):
                    behind = None if background is None else await self._requests.picture(background, owner, kept=True)
                    source: Source | Avatar
                    source = self._studio.avatar(person, owner) if isinstance(person, str) else await self._requests.source(person, owner)
                    return await on_thread(self._drawn, source, owner, chosen, shown, behind)
        finally:
            self._waiting -= 1

    def _drawn(self, source: Source | Avatar, owner: str, chosen: Mapping[str, Any], shown: str, behind: Photo | None) -> bytes:
        from core.media.jpeg import as_jpeg  # imported when first needed: the page must answer before it is loaded

        if not isinstance(source, Photo | Avatar):
            return b""
        settled = options.settled({**chosen, "size": SIZE_PX}, self._studio.settings, avatar=isinstance(source, Avatar))
        read = options.read(settled)
        render = read.render if behind is None else dataclasses.replace(read.render, background=behind)
        return as_jpeg(self._studio.still(source, owner, read.framing, read.controls, render, shown))
