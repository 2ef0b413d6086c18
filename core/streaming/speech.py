"""One utterance as a renderer speaks it, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from core.streaming.live_renderer import LiveRenderer, Shown
from core.streaming.utterance import Utterance
from core.types import Samples
from core.visemes.frames import MouthFrames


class Speech:
    """lock: guards the utterance, which grows meanwhile. fill: as in LiveOptions. Frames are made one at a time, by whoever has the turn on
    the device. mouths: hears the same sound, where it is told what the mouth does.
    """

    def __init__(
        self, renderer: LiveRenderer, utterance: Utterance, lock: AbstractContextManager[Any], fill: bool = True,
        mouths: MouthFrames | None = None,
    ) -> None:  # fmt: skip
        self.utterance = utterance
        self._fill = fill
        self._mouths = mouths
        self._told: list[dict[str, Any]] = []
        self.n_filled = 0
        """Frames' worth of silence that was put in because sound was late."""
        self._renderer, self._lock = renderer, lock
        self._frames: Iterator[Shown] | None = None
        self._flushed = False

    def next_frame(self) -> Shown | None:
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
                    phones = self.utterance.next_phones()
                self._renderer.expect(phones)
                self._flushed = not len(heard)
                if self._mouths is not None:
                    self._mouths.expect(phones)
                    self._told.extend(self._mouths.flush() if self._flushed else self._mouths.push(heard))
                self._frames = self._renderer.flush() if self._flushed else self._renderer.push(heard)
            frame = next(self._frames, None)
            if frame is not None:
                return frame
            self._frames = None

    def sound(self, last: float) -> tuple[Samples, int]:
        """What is heard with the frame just made, (n,), and how many samples of it are spoken. last: the sample before it."""
        taken = self.utterance.taken
        return self.utterance.next_sent(last), self.utterance.taken - taken

    def mouths_told(self) -> list[dict[str, Any]]:
        """What the mouth does, frame by frame, as far as it became known since the last call."""
        told, self._told = self._told, []
        return told

    def _go_on(self) -> None:
        """Without the sound that is late. A text goes on with the sound that comes: its end is told by who synthesises it."""
        if self._fill or self.utterance.say is not None:
            self.utterance.fill()
            self.n_filled += 1
        else:
            self.utterance.end()
