"""Texts spoken for their sound alone, and handed out piece by piece while the rest is still being spoken."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator

from core.errors import Cancelled, TalkingHeadError, forget_frames
from core.media.sound_file import SoundFormat, SoundWriter
from core.service.job_views import InternalError
from core.service.quotas import ConcurrencyLimit
from core.service.spoken_texts import SpokenText, SpokenTexts
from core.settings import Settings

logger = logging.getLogger(__name__)

AHEAD_BYTES = 2 * 2**20
"""So much is made for a reader that has not taken it yet."""
READER_S = 30.0
"""How long a reader may then take nothing, before the rest is not made any more."""


class SpokenSounds:
    """At most `Settings.max_spoken` at the same time, as long as there is something to be spoken. Thread-safe."""

    def __init__(self, texts: SpokenTexts, settings: Settings) -> None:
        self._texts = texts
        self._limit = ConcurrencyLimit(settings.max_spoken, settings.owner_max_spoken, "texts that are spoken")

    def open(self, said: SpokenText, form: SoundFormat, owner: str) -> SpokenSound:
        """said: of `SpokenTexts.settled`. Raises TooMany."""
        self._limit.take(owner)
        try:
            return SpokenSound(self._texts, said, form, owner, lambda: self._limit.give_back(owner))
        except BaseException:
            self._limit.give_back(owner)
            raise


class SpokenSound(Iterator[bytes]):
    """The pieces of one file. One reader, on any thread; to be closed by it. on_end: called once, when nothing is spoken any more."""

    def __init__(self, texts: SpokenTexts, said: SpokenText, form: SoundFormat, owner: str, on_end: Callable[[], None]) -> None:
        self._texts, self._said, self._form, self._owner, self._on_end = texts, said, form, owner, on_end
        self._cancel = threading.Event()
        self._changed = threading.Condition()  # guards these
        self._pieces: deque[bytes] = deque()
        self._nbytes = 0
        self._ended = False
        self._error: TalkingHeadError | None = None
        threading.Thread(target=self._run, name="spoken sound", daemon=True).start()

    def __next__(self) -> bytes:
        """Waits for a piece. Raises what ended the speech, after the pieces made before it."""
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self._ended)
            if self._pieces:
                data = self._pieces.popleft()
                self._nbytes -= len(data)
                self._changed.notify_all()
                return data
            if self._error is not None:
                raise self._error
        raise StopIteration

    def close(self) -> None:
        """Ends the speech; what was not taken is dropped. Does not wait."""
        self._cancel.set()
        with self._changed:
            self._pieces.clear()
            self._nbytes = 0
            self._changed.notify_all()

    def _run(self) -> None:
        error: TalkingHeadError | None = None
        try:
            self._speak()
        except TalkingHeadError as caught:
            error = caught
        except Exception:
            logger.exception("a text could not be spoken")
            error = InternalError("The sound could not be made; it was logged.", "Try again; it may be this text.", code="internal")
        finally:
            if error is not None:
                forget_frames(error)
            with self._changed:
                self._error, self._ended = error, True
                self._changed.notify_all()
            self._on_end()

    def _speak(self) -> None:
        writer: SoundWriter | None = None
        for piece in self._texts.pieces(self._said, self._owner, self._cancel):
            writer = writer or SoundWriter(self._form, piece.sample_rate_hz)
            self._put(writer.write(piece.samples))
        if writer is not None:
            self._put(writer.finish())

    def _put(self, data: bytes) -> None:
        if not data:
            return
        with self._changed:
            if not self._changed.wait_for(lambda: self._nbytes < AHEAD_BYTES or self._cancel.is_set(), READER_S):
                self._pieces.clear()
                raise Cancelled("Nobody took the rest of the sound in time.", "Read it as it comes.", code="stream_unread")
            if self._cancel.is_set():
                raise Cancelled("The speech was cancelled.")
            self._pieces.append(data)
            self._nbytes += len(data)
            self._changed.notify_all()
