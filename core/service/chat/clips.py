"""The videos of a conversation's clips: one of each answer, and one of the person at rest for the time between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from core.errors import BusyError, Cancelled
from core.media.sound_file import wav_file
from core.service.chat.options import ChatOptions
from core.service.chat.sentences import speakable
from core.service.errors import UnknownJob
from core.service.job_views import JobView
from core.service.requests import VideoInputs
from core.service.service import Service
from core.types import SAMPLE_RATE_HZ

IDLE_S = 8.0
_IDLE_FILE, _BACKGROUND_FILE = "idle.wav", "background"


class Clips:
    """Used on one event loop."""

    def __init__(self, service: Service, owner: str, options: ChatOptions) -> None:
        self._service, self._owner, self._options = service, owner, options

    async def begin(self, text: str) -> str:
        """The job of a video in which `text` is said. Raises as `Requests.video`."""
        options = self._options
        said = speakable(text).strip()
        async with self._file(_BACKGROUND_FILE, options.background) as background:
            inputs = VideoInputs(
                None, avatar=options.avatar, text=said, voice=options.voice, speed=options.speed, engine=options.engine,
                options=options.options, background=background,
            )  # fmt: skip
            return (await self._service.requests.video(inputs, self._owner)).id

    async def begin_idle(self) -> str:
        """The job of a video in which nothing is said for IDLE_S. Raises as `Requests.video`."""
        options = self._options
        silence = wav_file(np.zeros(round(IDLE_S * SAMPLE_RATE_HZ), np.float32), SAMPLE_RATE_HZ)
        async with self._file(_IDLE_FILE, silence) as sound, self._file(_BACKGROUND_FILE, options.background) as background:
            inputs = VideoInputs(sound, avatar=options.avatar, engine=options.engine, options=options.options, background=background)
            return (await self._service.requests.video(inputs, self._owner, kind="idle")).id

    async def made(self, job: str) -> JobView:
        """Waits for a job's end. Raises why there is no video, UnknownJob where it is forgotten meanwhile."""
        view = await self._service.jobs.ended(job, self._owner)
        if view.state != "done":
            raise view.error or Cancelled("The job was cancelled.", code="cancelled")
        return view

    async def give_up(self, job: str) -> None:
        """Its place is free for the next one."""
        with contextlib.suppress(UnknownJob, BusyError):
            await asyncio.to_thread(self._service.jobs.cancel, job, self._owner)

    @asynccontextmanager
    async def _file(self, name: str, data: bytes) -> AsyncIterator[Path | None]:
        """A file of the owner's as long as the block runs: a job that is accepted has a copy. None where there is nothing in it."""
        if not data:
            yield None
            return
        outputs = self._service.outputs
        file = await asyncio.to_thread(outputs.new_file, name, data, self._owner)
        try:
            yield file
        finally:
            await asyncio.to_thread(outputs.discard, file)
