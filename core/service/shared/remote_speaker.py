"""Texts that a live session has synthesised where it is drawn, by the same link."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import traceback
from collections.abc import Callable, Generator
from typing import Any

from core.errors import TalkingHeadError
from core.service.job_views import as_exception, as_values
from core.settings import Settings
from core.speech_synthesis.base import Speech, Voice, check_cancel
from core.speech_synthesis.kokoro_network import NetworkFile
from core.speech_synthesis.speaker import Speaker
from core.streaming.render_link import RenderLink
from core.thread_priority import PATIENT_SOON, be_patient

logger = logging.getLogger(__name__)

MOST_PIECES = 4
"""Of one text that wait to be taken."""
LOOK_S = 0.1

Piece = Speech | None | dict[str, Any]
"""Speech; None at the end of it; or, as `as_values` writes it, why there is no more."""


class RemoteSpeaker(Speaker):
    """Knows voices and checks texts itself. A text goes on with another renderer where one is lost."""

    def __init__(self, settings: Settings, kokoro_file: NetworkFile | None, link: RenderLink) -> None:
        super().__init__(settings, None, kokoro_file)
        self._link = link
        self._numbers = itertools.count()
        self._coming: dict[int, queue.Queue[tuple[int, int, Piece]]] = {}

    def speak(
        self, text: str, voice: Voice, speed: float = 1.0, owner: str = "local", cancel: threading.Event | None = None, keep: bool = True
    ) -> Generator[Speech, None, None]:
        cancel, number = cancel or threading.Event(), next(self._numbers)
        coming = self._coming[number] = queue.Queue(MOST_PIECES)
        renderer, n_had = -1, 0
        try:
            while True:
                check_cancel(cancel)
                if renderer != self._link.renderer:
                    renderer = self._link.renderer
                    self._link.tell("speak", number, text, voice, speed, owner, keep)
                try:
                    at, n, piece = coming.get(timeout=LOOK_S)
                except queue.Empty:
                    continue
                if at != renderer or n < n_had:
                    continue
                if piece is None:
                    return
                if not isinstance(piece, Speech):
                    raise as_exception(piece)
                n_had += 1
                yield piece
        finally:
            del self._coming[number]
            self._link.tell("hush", number)

    def take(self, renderer: int, number: int, n: int, piece: Piece) -> bool:
        """The n-th piece of a text, by a renderer; waits for room. False: nobody wants it."""
        while (coming := self._coming.get(number)) is not None and renderer == self._link.renderer:
            try:
                coming.put((renderer, n, piece), timeout=LOOK_S)
                return True
            except queue.Full:
                continue
        return False


class SpeechHost:
    """The other end. take: `RemoteSpeaker.take` of this renderer."""

    def __init__(self, speaker: Speaker, take: Callable[[int, int, Piece], bool]) -> None:
        self._speaker, self._take = speaker, take
        self._cancels: dict[int, threading.Event] = {}

    def speak(self, number: int, *request: Any) -> None:
        """request: as `Speaker.speak` takes it, without what cancels it."""
        cancel = self._cancels[number] = threading.Event()
        threading.Thread(target=self._speak, args=(number, cancel, *request), name="speech", daemon=True).start()

    def hush(self, number: int) -> None:
        if (cancel := self._cancels.pop(number, None)) is not None:
            cancel.set()

    def close(self) -> None:
        for number in list(self._cancels):
            self.hush(number)

    def _speak(
        self, number: int, cancel: threading.Event, text: str, voice: Voice, speed: float, owner: str, keep: bool
    ) -> None:
        be_patient(PATIENT_SOON)
        n, last = 0, None
        try:
            for piece in self._speaker.speak(text, voice, speed, owner, cancel, keep):
                if not self._take(number, n, piece):
                    return
                n += 1
        except Exception as error:  # else the session would wait for the rest
            if not isinstance(error, TalkingHeadError):
                where = "".join(traceback.format_tb(error.__traceback__))  # its message may hold the text
                logger.error("a text was not synthesised: %s\n%s", type(error).__name__, where)
            last = as_values(error)
        self._take(number, n, last)
