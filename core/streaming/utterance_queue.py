"""The utterances of a live session that are spoken one after the other: recordings as they are fed, and texts as they are synthesised."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from core.streaming.say import Say
from core.streaming.utterance import Utterance
from core.types import Phone, Samples

MAX_UTTERANCES = 64
"""Recordings that may wait, however short they are. Who reserves places for texts bounds how many there are."""
SAY_AHEAD_S = 10.0
"""While so much of the speech of texts waits, no more of it is taken. It is counted by itself: what waits behind a text must not take its
room.
"""


class UtteranceQueue(deque[Utterance]):
    """The first is being spoken, or is next. Used with the session's lock held. track_hz: of the session's sound."""

    def __init__(self, track_hz: int) -> None:
        super().__init__()
        self._track_hz = track_hz

    def buffered_s(self, texts: bool) -> float:
        """Seconds of sound that wait, of texts or of recordings."""
        return sum(utterance.buffered_s for utterance in self if (utterance.say is not None) == texts)

    # ---- recordings

    def has_room(self, length_s: float, most_s: float) -> bool:
        if self.buffered_s(texts=False) + length_s > most_s:
            return False
        return self._open() is not None or sum(utterance.say is None for utterance in self) < MAX_UTTERANCES

    def open_recording(self, now_s: float) -> Utterance:
        """The utterance that sound joins which is fed now; a new one where the last is over or a text."""
        utterance = self._open()
        if utterance is None:
            utterance = Utterance(self._track_hz, now_s)
            self.append(utterance)
        return utterance

    def end_recording(self) -> None:
        if (utterance := self._open()) is not None:
            utterance.end()

    def _open(self) -> Utterance | None:
        last = self[-1] if self else None
        return last if last is not None and not last.ended and last.say is None else None

    # ---- texts

    def reserve(self, say: Say, now_s: float) -> None:
        """A place for a text behind all that came so far."""
        self.end_recording()
        self.append(Utterance(self._track_hz, now_s, say))

    def feed_say(
        self, say: Say, samples: Samples, rate_hz: int, text: str, words: Sequence[tuple[float, int]], now_s: float,
        phones: Sequence[Phone] = (),
    ) -> bool:  # fmt: skip
        """False: there is no room now. Arguments as in `Say.put` and `Utterance.feed`."""
        if self.buffered_s(texts=True) >= SAY_AHEAD_S:
            return False
        utterance = next(utterance for utterance in self if utterance.say is say)
        start = utterance.taken + len(utterance.sent)
        say.put(start, round(len(samples) / rate_hz * self._track_hz), self._track_hz, text, words)
        utterance.feed(samples, rate_hz, now_s, phones)
        return True

    def end_say(self, say: Say) -> None:
        for utterance in self:
            if utterance.say is say:
                utterance.end()

    def drop(self, kept_back: int) -> list[dict[str, Any]]:
        """Forgets everything. kept_back: samples of the first that were taken and are not handed out. What was spoken of each text."""
        reports = []
        for utterance in self:
            if utterance.say is not None:
                utterance.say.cancelled.set()
                reports.append(utterance.say.report(max(0, utterance.taken - kept_back), complete=False))
        self.clear()
        return reports
