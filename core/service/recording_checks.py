"""What is wrong with a recording, told before anything is made of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.errors import TalkingHeadError
from core.service.errors import without_folders
from core.service.job_work import read_audio
from core.service.outputs import OutputFolder
from core.service.threads import on_thread
from core.settings import Settings

MAX_WAITING = 200
"""Visitors that wait; further ones are told nothing: the video will say it."""


class RecordingChecks:
    """One recording at a time, so that no more than one is decoded for this. Used on one event loop at a time."""

    def __init__(self, settings: Settings, outputs: OutputFolder) -> None:
        self._settings, self._outputs = settings, outputs
        self._place = asyncio.Semaphore(1)
        self._waiting = 0

    async def warnings(self, path: Path) -> tuple[str, ...]:
        """As in `Audio`. path: of a recording that a visitor chose. Raises AudioError; messages name the file, never its folder."""
        if self._waiting >= MAX_WAITING:
            return ()
        self._waiting += 1
        try:
            async with self._place:
                with self._outputs.using(path):
                    return (await on_thread(read_audio, path, self._settings)).warnings
        except TalkingHeadError as error:
            raise without_folders(error, path) from error
        finally:
            self._waiting -= 1
