"""How much of the machine live sessions take, by measurement, and whether one more would keep real time beside them.

    session_load = load.admit("lite", 320, 320, guess)     BusyError where it would not
    session_load.frame(total_s, turn_s, late_s)            after each frame
    session_load.close()

What a frame costs is measured while sessions run, by engine and size, in CPU seconds of the thread that makes it, so that waiting for
others does not count. Two things are shared out: turns on the device, of which there is one, and cores.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from core.engines.base import FrameCost
from core.errors import BusyError
from core.types import FPS

SHARE = 0.65
"""Part of the device's time, and of all cores, that live sessions may need; the rest is for what comes at the same moment."""
OWN_SHARE = 0.9
"""Part of a frame's 40 ms in which a session must make it: its frames are made one after the other."""
LATE_S, LATE_FOR_S = 0.1, 5.0
"""Nobody is admitted while a session was so late within the last seconds: the measurements miss something then."""
LIVE_BUSY = "live_busy"
"""Code of the error."""
RETRY_AFTER_S = 15
KNOWN_FOR_S = 60.0
"""How long a measurement is believed."""
SMOOTHING = 0.02
"""Weight of the newest frame: the measurement follows in about two seconds of video."""
BUCKETS_S = (0.02, 0.04, 0.08, 0.2, 0.5)
"""Of the lateness of frames, for the operator."""


class SessionLoad:
    """One session's. `frame` from one thread at a time, `close` from any, and again."""

    def __init__(self, load: LiveLoad, kind: tuple[str, int, int]) -> None:
        self._load, self.kind = load, kind
        self.late_s = 0.0
        """Of the latest frame."""
        self.late_at_s = float("-inf")
        """When it was late for long, by time.monotonic."""

    def frame(self, total_s: float, turn_s: float, late_s: float) -> None:
        """A frame was made. total_s, turn_s: as in `FrameCost`. late_s: how far behind what the
        player can wait for, seconds."""
        self._load._made(self, FrameCost(total_s, turn_s), late_s)

    def close(self) -> None:
        self._load._closed(self)


class FrameMeter:
    """What the frames of one session cost the threads that make them, one after the other. session_load: is told; None: nobody is."""

    def __init__(self, session_load: SessionLoad | None) -> None:
        self._session_load = session_load
        self._total_s = self._turn_s = 0.0  # of the frame that is made

    @contextmanager
    def working(self) -> Iterator[None]:
        """What this thread does meanwhile counts; not to be nested."""
        began_s = time.thread_time()
        try:
            yield
        finally:
            self._total_s += time.thread_time() - began_s

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The same for the part of it that is done within a turn on the device."""
        began_s = time.thread_time()
        try:
            yield
        finally:
            self._turn_s += time.thread_time() - began_s

    def begin(self) -> None:
        """Of a frame: what a turn was taken for before, and no frame came of it, does not count."""
        self._turn_s = 0.0

    def made(self, late_s: float) -> None:
        """The frame is there. late_s: as in `SessionLoad.frame`."""
        if self._session_load is not None:
            self._session_load.frame(self._total_s, self._turn_s, late_s)
            self._total_s = 0.0

    def close(self) -> None:
        if self._session_load is not None:
            self._session_load.close()


class LiveLoad:
    """All live sessions of the process. Thread-safe. cores: that they may use."""

    def __init__(self, cores: int | None = None) -> None:
        self._cores = cores or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._costs: dict[tuple[str, int, int], FrameCost] = {}
        self._measured_s: dict[tuple[str, int, int], float] = {}
        self._sessions: list[SessionLoad] = []
        self._refused = 0
        self._lateness = [0] * (len(BUCKETS_S) + 1)
        self._late_total_s = 0.0

    def admit(
        self, engine: str, width: int, height: int, guess: Callable[[], FrameCost | None] = lambda: None
    ) -> SessionLoad:
        """A place for a session at this size. guess: finds out what a frame of it is likely to cost, where that was not measured
        lately; None where nothing can tell: it is admitted then, unless others are late.

        Raises BusyError where the session could not keep real time beside those that run, or would slow them down.
        """
        kind = (engine, width, height)
        guessed = guess() if self._is_unknown(kind) else None
        with self._lock:
            if guessed is not None:
                self._costs[kind], self._measured_s[kind] = guessed, time.monotonic()
            own = self._costs.get(kind, FrameCost(0.0, 0.0))
            try:
                self._check(own, f"{width}×{height}")
            except BusyError:
                self._refused += 1
                raise
            session_load = SessionLoad(self, kind)
            self._sessions.append(session_load)
            return session_load

    def stats(self) -> dict[str, Any]:
        """sessions: now. refused: so far. device, cores: needed for real time now; 1 is all of the device, and one core. late_s: of the
        latest frame, the highest of all sessions. lateness: frames by how late they were, up to each of BUCKETS_S and beyond; late_total_s:
        the sum over all of them.
        """
        with self._lock:
            needed = self._needed()
            return {
                "sessions": len(self._sessions),
                "refused": self._refused,
                "device": round(needed.turn_s * FPS, 3),
                "cores": round(needed.total_s * FPS, 3),
                "late_s": round(max((session_load.late_s for session_load in self._sessions), default=0.0), 3),
                "lateness": list(self._lateness),
                "late_total_s": round(self._late_total_s, 3),
            }

    def part_used(self) -> float:
        """Of what live sessions may need of this machine: 1 where no more are admitted."""
        with self._lock:
            needed = self._needed()
            return max(needed.turn_s * FPS / SHARE, needed.total_s * FPS / (SHARE * self._cores))

    def _is_unknown(self, kind: tuple[str, int, int]) -> bool:
        """Forgets what was measured long ago: the machine may have been busy with something else."""
        with self._lock:
            old = time.monotonic() - self._measured_s.get(kind, float("-inf")) > KNOWN_FOR_S
            if old:
                self._costs.pop(kind, None)
                self._measured_s.pop(kind, None)
            return old

    # ---- with the lock held

    def _check(self, own: FrameCost, size: str) -> None:
        if own.total_s * FPS > OWN_SHARE:
            raise BusyError(
                f"A live session of {size} pixels takes {1000 * own.total_s:.0f} ms for a frame here, and there are {1000 / FPS:.0f}.",
                "Choose a smaller size.",
                code="live_too_large",
                parameters={"size": size},
            )
        needed = self._needed()
        device, cores = (needed.turn_s + own.turn_s) * FPS, (needed.total_s + own.total_s) * FPS
        now_s = time.monotonic()
        late = any(now_s - session_load.late_at_s < LATE_FOR_S for session_load in self._sessions)
        if late or (self._sessions and (device > SHARE or cores > SHARE * self._cores)):
            raise BusyError(
                f"A live session of {size} pixels would not keep real time beside the {len(self._sessions)} that run.",
                f"Try again in {RETRY_AFTER_S} s, or choose a smaller size.",
                code=LIVE_BUSY,
                parameters={"size": size, "sessions": len(self._sessions), "retry_after_s": RETRY_AFTER_S},
            )

    def _needed(self) -> FrameCost:
        costs = [self._costs[session_load.kind] for session_load in self._sessions if session_load.kind in self._costs]
        return FrameCost(sum(cost.total_s for cost in costs), sum(cost.turn_s for cost in costs))

    # ---- told by sessions

    def _made(self, session_load: SessionLoad, cost: FrameCost, late_s: float) -> None:
        with self._lock:
            known = self._costs.setdefault(session_load.kind, FrameCost(cost.total_s, cost.turn_s))
            known.total_s += SMOOTHING * (cost.total_s - known.total_s)
            known.turn_s += SMOOTHING * (cost.turn_s - known.turn_s)
            self._measured_s[session_load.kind] = time.monotonic()
            session_load.late_s = late_s
            if late_s >= LATE_S:
                session_load.late_at_s = time.monotonic()
            self._lateness[next((n for n, edge in enumerate(BUCKETS_S) if late_s <= edge), len(BUCKETS_S))] += 1
            self._late_total_s += late_s

    def _closed(self, session_load: SessionLoad) -> None:
        with self._lock:
            if session_load in self._sessions:
                self._sessions.remove(session_load)
