"""The time of a live session: when its next frame is due, and what was left out of it."""

from __future__ import annotations

from collections.abc import Callable

from core.types import FPS

MOST_LATE_S = 0.5
"""How far output may lag behind the clock and still catch up; the rest of a longer stop is left out of the video's time."""


class LiveClock:
    """now: gives seconds. lead_s: as in LiveOptions. made: frames so far, which is where the session is in its video's time. skipped,
    lost_s: as in `LiveSession.stats`.
    """

    def __init__(self, now: Callable[[], float], lead_s: float) -> None:
        self.now = now
        self.made = self.skipped = 0
        self.lost_s = 0.0
        self._start_s = now() - lead_s

    def due_in_s(self) -> float:
        """Until the next frame is; negative where it is late."""
        return self._start_s + self.made / FPS - self.now()

    def let_go(self, speaking: bool) -> None:
        """Of the time that a reader or this machine lost beyond what can be caught up. speaking: the next frame is of speech, which is only
        late; else frames are left out.
        """
        lost_s = -self.due_in_s() - MOST_LATE_S
        if lost_s > 0:
            self._start_s += lost_s
            self.lost_s += lost_s
            if not speaking:
                self.skipped += round(lost_s * FPS)
