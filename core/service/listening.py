"""Texts spoken for visitors who want to hear them before a video is made: heard while they are spoken; the video then says the same."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

from core.errors import Cancelled
from core.media.sound_file import MIME_TYPES, SoundWriter
from core.service.errors import TooMany
from core.service.quotas import RateLimit, SharedRates
from core.service.spoken_texts import SpokenText, SpokenTexts
from core.service.threads import on_thread
from core.settings import Settings

MAX_WAITING = 50
"""Texts that are spoken or wait for it; those that wait hold nothing but their words."""
PER_MINUTE = 20
"""Texts of one owner."""
KEPT = 16
"""Sounds of all owners, in memory; the oldest goes when there is a new one. A text as long as may be has a few MB."""
MIME_TYPE = MIME_TYPES["mp3"]


class Heard:
    """A text while it is spoken: an MP3 file that grows, and can be read from its beginning at any time. Used on one event loop.

    token: names it, and cannot be guessed. cancel: ends the work, as soon as it notices.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.cancel = threading.Event()
        self._pieces: list[bytes] = []
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    async def data(self) -> AsyncIterator[bytes]:
        """The pieces as they come; no more of them where the rest could not be spoken."""
        told = 0
        while True:
            while told < len(self._pieces):
                told += 1
                yield self._pieces[told - 1]
            if self._ended:
                return
            await self._changed.wait()

    async def begun(self) -> None:
        """Waits for the first piece. Raises as `whole`."""
        await self._until(first=True)

    async def whole(self) -> None:
        """Waits for the last piece. Raises why there is none; Cancelled where it was stopped. Who stops waiting ends the work."""
        await self._until(first=False)

    def add(self, data: bytes) -> None:
        if data and not self._ended:
            self._pieces.append(data)
            self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Nothing follows. The first time counts."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    async def _until(self, first: bool) -> None:
        try:
            while not self._ended and not (first and self._pieces):
                await self._changed.wait()
        except asyncio.CancelledError:
            self.cancel.set()
            raise
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Listening:
    """Used on one event loop at a time, but for `close`. As many are spoken at once as `Settings.max_spoken` says; others wait."""

    def __init__(self, texts: SpokenTexts, settings: Settings, shared: SharedRates | None = None) -> None:
        self._texts = texts
        self._rate = RateLimit(PER_MINUTE, "texts to hear", shared)
        self._places = asyncio.Semaphore(settings.max_spoken)
        self._newest: dict[str, Heard] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._kept: OrderedDict[str, Heard] = OrderedDict()

    async def begin(self, text: str, voice: str, speed: Any, owner: str) -> Heard:
        """Returns with the first piece. What the owner waits for already is ended: they hear one at a time.

        Raises as `SpokenTexts.settled` and `SpokenTexts.pieces`; TooMany; and Cancelled, at once, where `stop` ended it.
        """
        said = await on_thread(self._texts.settled, text, voice, speed, False)
        self._rate.take(owner)
        self.stop(owner)
        if len(self._working) >= MAX_WAITING:
            raise TooMany(f"{MAX_WAITING} texts are waiting to be spoken already.", "Try again a little later.", 5)
        heard = self._newest[owner] = Heard()
        work = asyncio.ensure_future(self._spoken(said, owner, heard))
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        await heard.begun()
        self._kept[heard.token] = heard
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return heard

    def find(self, token: str) -> Heard | None:
        """None where it is kept no longer."""
        return self._kept.get(token)

    def stop(self, owner: str) -> None:
        """Ends what the owner waits to hear."""
        if (heard := self._newest.pop(owner, None)) is not None:
            heard.cancel.set()
            heard.end(_cancelled())

    @property
    def at_work(self) -> int:
        """Texts that are being spoken, or wait for it; also what was stopped, until it has noticed."""
        return len(self._working)

    def close(self) -> None:
        """Ends all. Thread-safe."""
        for heard in list(self._newest.values()):
            heard.cancel.set()

    async def _spoken(self, said: SpokenText, owner: str, heard: Heard) -> None:
        try:
            async with self._places:
                if heard.cancel.is_set():
                    raise _cancelled()
                await on_thread(self._speak, said, owner, heard, asyncio.get_running_loop())
            heard.end()
        except Exception as error:  # told to who waits
            heard.end(error)
        finally:
            if self._newest.get(owner) is heard:
                del self._newest[owner]

    def _speak(self, said: SpokenText, owner: str, heard: Heard, loop: asyncio.AbstractEventLoop) -> None:
        writer: SoundWriter | None = None

        def put(data: bytes) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(heard.add, data)

        for piece in self._texts.pieces(said, owner, heard.cancel):
            writer = writer or SoundWriter("mp3", piece.sample_rate_hz)
            put(writer.write(piece.samples))
        if writer is not None:
            put(writer.finish())


def _cancelled() -> Cancelled:
    return Cancelled("The speech was cancelled.", code="cancelled")
