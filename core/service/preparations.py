"""What a video needs before its first frame, done while a visitor still puts in the rest."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import TalkingHeadError
from core.request import Avatar
from core.service import options
from core.service.outputs import OutputFolder
from core.service.requests import Requests
from core.service.threads import on_thread
from core.studio import Studio
from core.types import Photo, Source

MAX_WAITING = 20


class Preparations:
    """One at a time. Used on one event loop at a time."""

    def __init__(self, studio: Studio, requests: Requests, outputs: OutputFolder) -> None:
        self._studio, self._requests, self._outputs = studio, requests, outputs
        self._place = asyncio.Semaphore(1)
        self._wanted: dict[str, object] = {}

    async def of(self, person: Path | str, owner: str, engine: str, chosen: Mapping[str, Any], background: Path | None = None) -> None:
        """Registers the person and makes ready what draws them. Nothing is said of what goes wrong: the video will say it.

        person: a photo, or the token of an avatar; of a video, which may take long, nothing is prepared. chosen: options by name.
        background: a picture behind the person. Of several that an owner asks for, the newest is made, and none where too many wait.
        """
        mine = object()
        if owner not in self._wanted and len(self._wanted) >= MAX_WAITING:
            return
        self._wanted[owner] = mine
        try:
            async with self._place:
                if self._wanted.get(owner) is mine:
                    with contextlib.suppress(TalkingHeadError):
                        await self._prepare(person, owner, engine, chosen, background)
        finally:
            if self._wanted.get(owner) is mine:
                del self._wanted[owner]

    async def _prepare(self, person: Path | str, owner: str, engine: str, chosen: Mapping[str, Any], background: Path | None) -> None:
        with self._outputs.using(person if isinstance(person, Path) else None, background):
            source: Source | Avatar
            source = self._studio.avatar(person, owner) if isinstance(person, str) else await self._requests.source(person, owner)
            if not isinstance(source, Photo) and not (isinstance(source, Avatar) and source.kind == "photo"):
                return
            behind = None if background is None else await self._requests.picture(background, owner, kept=True)
            read = options.read(options.settled(chosen, self._studio.settings, avatar=isinstance(source, Avatar)))
            render = read.render if behind is None else dataclasses.replace(read.render, background=behind)
            await on_thread(self._studio.prepare, source, owner, engine, read.framing, read.controls, render)
