"""Texts spoken for visitors who want to hear them before a video is made; what was heard comes from the cache when one is."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Cancelled
from core.media.sound_file import wav_file
from core.service.errors import TooMany
from core.service.outputs import OutputFolder
from core.service.quotas import RateLimit
from core.service.spoken_texts import SpokenText, SpokenTexts
from core.service.threads import on_thread

AT_ONCE = 2
"""Texts that are spoken at the same time; those that wait hold nothing but their words."""
MAX_WAITING = 50
PER_MINUTE = 20
"""Texts of one owner."""
KEPT = 32
"""Files of all owners; the oldest goes when there is a new one."""
NAME = "speech.wav"


@dataclass(frozen=True)
class Heard:
    """path: a WAV file (16 bits, mono), served as the owner's videos are."""

    path: Path
    duration_s: float


@dataclass(frozen=True, eq=False)
class _Speaking:
    """cancel: ends the work, as soon as it notices. left: nobody waits for it any more."""

    cancel: threading.Event
    left: asyncio.Event


class Listening:
    """Used on one event loop at a time, but for `close`."""

    def __init__(self, texts: SpokenTexts, outputs: OutputFolder) -> None:
        self._texts, self._outputs = texts, outputs
        self._rate = RateLimit(PER_MINUTE, "texts to hear")
        self._places = asyncio.Semaphore(AT_ONCE)
        self._newest: dict[str, _Speaking] = {}
        self._working: set[asyncio.Task[Heard]] = set()
        self._files: deque[Path] = deque()

    async def heard(self, text: str, voice: str, speed: Any, owner: str) -> Heard:
        """The whole text. What the owner waits for already is ended: they hear one at a time.

        Raises as `SpokenTexts.settled` and `SpokenTexts.speak`; TooMany; and Cancelled, at once, where `stop` ended it.
        """
        said = await on_thread(self._texts.settled, text, voice, speed, False)
        self._rate.take(owner)
        self.stop(owner)
        if len(self._working) >= MAX_WAITING:
            raise TooMany(f"{MAX_WAITING} texts are waiting to be spoken already.", "Try again a little later.", 5)
        speaking = self._newest[owner] = _Speaking(threading.Event(), asyncio.Event())
        work = asyncio.ensure_future(self._spoken(said, owner, speaking.cancel))
        self._working.add(work)
        work.add_done_callback(self._ended)
        left = asyncio.ensure_future(speaking.left.wait())
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
            if speaking.left.is_set():
                raise _cancelled()
            return work.result()
        finally:
            left.cancel()
            speaking.cancel.set()
            if self._newest.get(owner) is speaking:
                del self._newest[owner]

    def stop(self, owner: str) -> None:
        """Ends what the owner waits to hear."""
        if (speaking := self._newest.pop(owner, None)) is not None:
            speaking.cancel.set()
            speaking.left.set()

    @property
    def at_work(self) -> int:
        """Texts that are being spoken, or wait for it; also what was stopped, until it has noticed."""
        return len(self._working)

    def close(self) -> None:
        """Ends all. Thread-safe."""
        for speaking in list(self._newest.values()):
            speaking.cancel.set()

    async def _spoken(self, said: SpokenText, owner: str, cancel: threading.Event) -> Heard:
        async with self._places:
            if cancel.is_set():
                raise _cancelled()
            heard = await on_thread(self._file, said, owner, cancel)
        self._files.append(heard.path)
        if len(self._files) > KEPT:
            await asyncio.to_thread(self._outputs.discard, self._files.popleft())
        return heard

    def _ended(self, work: asyncio.Task[Heard]) -> None:
        self._working.discard(work)
        if not work.cancelled():
            work.exception()  # who asked for it may be gone

    def _file(self, said: SpokenText, owner: str, cancel: threading.Event) -> Heard:
        _, speech = self._texts.speak(said, owner, cancel, lambda progress: None)
        return Heard(self._outputs.new_file(NAME, wav_file(speech.samples, speech.sample_rate_hz), owner), speech.duration_s)


def _cancelled() -> Cancelled:
    return Cancelled("The speech was cancelled.", code="cancelled")


