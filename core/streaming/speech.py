"""One utterance as an engine's session speaks it, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from core.engines.base import Session
from core.streaming.utterance import Utterance
from core.types import Frame


class Speech:
    """lock: guards the utterance, which grows meanwhile. fill: as in LiveOptions. Frames are made one at a time, by whoever has the turn on
    the device.
    """

    def __init__(self, session: Session, utterance: Utterance, lock: AbstractContextManager[Any], fill: bool = True) -> None:
        self.utterance = utterance
        self._fill = fill
        self.n_filled = 0
        """Frames' worth of silence that was put in because sound was late."""
        self._session, self._lock = session, lock
        self._frames: Iterator[Frame] | None = None
        self._flushed = False

    def next_frame(self) -> Frame | None:
        """None: the utterance is over. Never waits for sound: where it is late, silence is heard and sent, or the utterance ends."""
        with self._lock:
            while not self.utterance.sound_is_there():
                self._go_on()
        while True:
            if self._frames is None:
                if self._flushed:
                    return None
                with self._lock:
                    heard = self.utterance.next_heard()
                    while heard is None:
                        self._go_on()
                        heard = self.utterance.next_heard()
                self._flushed = not len(heard)
                self._frames = self._session.flush() if self._flushed else self._session.push(heard)
            frame = next(self._frames, None)
            if frame is not None:
                return frame
            self._frames = None

    def _go_on(self) -> None:
        """Without the sound that is late."""
        if self._fill:
            self.utterance.fill()
            self.n_filled += 1
        else:
            self.utterance.end()
