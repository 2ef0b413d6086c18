"""One utterance as an engine's session speaks it, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from core.engines.base import Session
from core.lite.mouth import MouthTracker
from core.streaming.utterance import Utterance
from core.types import Frame, Samples


class Speech:
    """lock: guards the utterance, which grows meanwhile. Frames are made one at a time, by whoever has the turn on the device. mouth: hears
    the same sound, where it is told what the mouth does.
    """

    def __init__(
        self, session: Session, utterance: Utterance, lock: AbstractContextManager[Any], mouth: MouthTracker | None = None
    ) -> None:
        self.utterance = utterance
        self.row: Samples | None = None
        """What the mouth does in the last frame, (4,), as far as it is known: engines need at least as much sound for a frame."""
        self._mouth = mouth
        self._rows: deque[Samples] = deque()
        self.n_filled = 0
        """Frames' worth of silence that was put in because sound was late."""
        self._session, self._lock = session, lock
        self._frames: Iterator[Frame] | None = None
        self._flushed = False

    def next_frame(self) -> Frame | None:
        """None: the utterance is over. Never waits for sound: where it is late, silence is heard and sent."""
        with self._lock:
            while not self.utterance.sound_is_there():
                self._fill()
        while True:
            if self._frames is None:
                if self._flushed:
                    return None
                with self._lock:
                    heard = self.utterance.next_heard()
                    while heard is None:
                        self._fill()
                        heard = self.utterance.next_heard()
                self._flushed = not len(heard)
                if self._mouth is not None:
                    self._rows.extend(self._mouth.flush() if self._flushed else self._mouth.push(heard))
                self._frames = self._session.flush() if self._flushed else self._session.push(heard)
            frame = next(self._frames, None)
            if frame is not None:
                self.row = self._rows.popleft() if self._rows else self.row
                return frame
            self._frames = None

    def _fill(self) -> None:
        self.utterance.fill()
        self.n_filled += 1
