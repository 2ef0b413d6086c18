"""The videos of a conversation's clips: one of each answer, and one of the person at rest for the time between them."""

from __future__ import annotations

import asyncio

import numpy as np

from core.errors import Cancelled
from core.media.sound_file import wav_file
from core.service.chat.options import ChatOptions
from core.service.chat.sentences import speakable
from core.service.job_views import JobView
from core.service.requests import VideoInputs
from core.service.service import Service
from core.types import SAMPLE_RATE_HZ

IDLE_S = 8.0
_IDLE_FILE = "idle.wav"


class Clips:
    """Used on one event loop."""

    def __init__(self, service: Service, owner: str, options: ChatOptions) -> None:
        self._service, self._owner, self._options = service, owner, options

    async def begin(self, text: str) -> str:
        """The job of a video in which `text` is said. Raises as `Requests.video`."""
        options = self._options
        said = speakable(text).strip()
        inputs = VideoInputs(
            None, avatar=options.avatar, text=said, voice=options.voice, speed=options.speed, engine=options.engine, options=options.options
        )
        return (await self._service.requests.video(inputs, self._owner)).id

    async def begin_idle(self) -> str:
        """The job of a video in which nothing is said for IDLE_S. Raises as `Requests.video`."""
        outputs, options = self._service.outputs, self._options
        silence = wav_file(np.zeros(round(IDLE_S * SAMPLE_RATE_HZ), np.float32), SAMPLE_RATE_HZ)
        file = await asyncio.to_thread(outputs.new_file, _IDLE_FILE, silence, self._owner)
        try:
            inputs = VideoInputs(file, avatar=options.avatar, engine=options.engine, options=options.options)
            return (await self._service.requests.video(inputs, self._owner, kind="idle")).id
        finally:
            await asyncio.to_thread(outputs.discard, file)

    async def made(self, job: str) -> JobView:
        """Waits for a job's end. Raises why there is no video, UnknownJob where it is forgotten meanwhile."""
        view = await self._service.jobs.ended(job, self._owner)
        if view.state != "done":
            raise view.error or Cancelled("The job was cancelled.", code="cancelled")
        return view
