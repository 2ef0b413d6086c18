"""The finished videos of an owner as files to take along: as they are, or converted when that is first asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.errors import BusyError
from core.media.conversion import Format, convert
from core.service.errors import JobNotReady
from core.service.jobs import Jobs
from core.service.outputs import OutputFolder
from core.service.threads import on_thread

MAX_WAITING = 20
"""Conversions that wait for their turn; one is done at a time, so that the making of videos goes on beside it."""


class Downloads:
    """A converted file lies beside its video, and goes with it. Used on one event loop."""

    def __init__(self, jobs: Jobs, outputs: OutputFolder) -> None:
        self._jobs, self._outputs = jobs, outputs
        self._turn = asyncio.Lock()
        self._running: dict[Path, asyncio.Task[None]] = {}

    async def file(self, job_id: str, owner: str, form: Format | None) -> Path:
        """form: None for the video as it is. Raises UnknownJob, JobNotReady, BusyError, and as `convert`."""
        job = await asyncio.to_thread(self._jobs.with_files, job_id, owner)
        video = job.watchable
        if video is None:
            raise JobNotReady("The video is not made yet.", "Ask again when it is.")
        if form is None:
            return video.path
        target = video.path.with_suffix(f".{form}")
        if not target.is_file():
            task = self._running.get(target)
            if task is None:
                if len(self._running) >= MAX_WAITING:
                    raise BusyError("Too many videos are being converted.", "Try again in a minute.", code="conversions_full")
                task = self._running[target] = asyncio.create_task(self._convert(video.path, target, form))
                task.add_done_callback(lambda ended: self._ended(target, ended))
            await asyncio.shield(task)
        return target

    async def _convert(self, video: Path, target: Path, form: Format) -> None:
        async with self._turn:
            with self._outputs.using(video):
                await on_thread(convert, video, target, form)
        await asyncio.to_thread(self._jobs.make_room)

    def _ended(self, target: Path, task: asyncio.Task[None]) -> None:
        self._running.pop(target, None)
        if not task.cancelled():
            task.exception()  # who waited was told, unless they are gone
