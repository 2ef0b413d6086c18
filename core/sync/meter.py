"""Measures lips against sound on some frames of a video while it is made, on a thread that gives way to those that make it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.notices import NoticeCode, notice
from core.sync.correlation import F64, Curves, Mask, Match, match
from core.sync.picture import Box, MouthWatcher
from core.sync.report import DELAY_MS, EARLY_MS, LATE_MS, why_unsure
from core.sync.sound import asked_by
from core.thread_priority import be_patient
from core.types import FPS, SAMPLES_PER_FRAME, Frame, Samples

log = logging.getLogger(__name__)

PART_ROWS = 10 * FPS
"""The ten seconds of a recording in which most is said are looked at."""
LOOKS = 20
"""Frames of them that are looked at in any case, spread over what is said."""
LEAST_SPEECH_ROWS = 2 * FPS
MORE_SHARE = 0.1
"""More are looked at, up to every one, as long as that takes no more than this share of the time that the video takes."""
WAIT_S = 5.0
"""What is not looked at so long after the video is finished, on a machine that has other work, is not waited for."""
QUEUED_BYTES = 48 * 2**20
VOICED = 0.1
"""A row in which the sound has more than this share of its level in the loudest tenth may be speech."""
NEAR_MS = 10.0
"""Frames of another rate than 25 are taken where their middle is as near to that of a row; how far it is on the average is allowed for."""


@dataclass(frozen=True)
class Sync:
    """What is known of a video that was made. offset_ms, confidence: as of `core.sync.report.SyncReport`, None where too little was said
    (less than two seconds) or seen; offset_ms also where a confidence is as low as by chance. warnings: what is to be said where the lips
    do not fit, or not in time.
    """

    offset_ms: float | None = None
    confidence: float | None = None
    warnings: tuple[str, ...] = ()


NOT_MEASURED = Sync()


class SyncMeter:
    """Looks at frames of one video. A context manager: leaving it ends the looking, `sync` waits for what was handed in.

    samples: (n,) float32, mono, 16 kHz, of the whole recording. fps: of the frames.
    Measured are, of the ten seconds in which most is said, LOOKS frames in any case, and more where frames are made slowly: the correlation
    of their mouths with what the sound asks, at every lag of up to 15 frames. So an offset has a standard error of about 10 ms where lips
    obey. Nothing is measured where less than two seconds are said.
    """

    def __init__(self, samples: Samples, fps: float) -> None:
        self._samples, self._fps = samples, fps
        self._first_row, self._wanted, self._more = plan(samples, fps)
        self._queue: queue.SimpleQueue[tuple[int, int, Frame, Box | None] | None] = queue.SimpleQueue()
        self._given_bytes = self._taken_bytes = 0  # each written by one thread only
        self._busy_s = 0.0
        self._began_s = time.perf_counter()
        self._ended = False
        self._seen: list[tuple[int, int, tuple[float, float] | None]] = []  # index, row, mouth
        self._sync = NOT_MEASURED
        self._thread = threading.Thread(target=self._run, name="sync-meter", daemon=True) if self._wanted else None

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended = self._ended or kind is not None
        self._queue.put(None)

    def offer(self, index: int, frame: Frame, face_box: Box | None = None) -> None:
        """Frame `index` of the video, (H, W, 3) uint8 RGB, which nobody changes any more. face_box: of the face in it, where that is known;
        else the largest is looked for.
        """
        if self._thread is None:
            return
        waiting_bytes = self._given_bytes - self._taken_bytes
        row = self._wanted.get(index)
        if row is None and not waiting_bytes and self._busy_s < MORE_SHARE * (time.perf_counter() - self._began_s):
            row = self._more.get(index)
        if row is not None and waiting_bytes + frame.nbytes <= QUEUED_BYTES:
            self._given_bytes += frame.nbytes
            self._queue.put((index, row, frame, face_box))

    def sync(self) -> Sync:
        """What was found; waits for the frames that were handed in, for WAIT_S at most. Call it after leaving the context."""
        if self._thread is not None:
            self._thread.join(WAIT_S)
            self._ended = True
        return self._sync

    def _run(self) -> None:
        be_patient()
        try:
            self._look()
        except Exception:  # a video that is made is not lost for it
            log.exception("lips and sound of a video could not be compared")

    def _look(self) -> None:
        first = self._first_row
        part = self._samples[first * SAMPLES_PER_FRAME : (first + PART_ROWS) * SAMPLES_PER_FRAME]
        given = self._queue.get()  # nothing else is done before the first frame is out
        asked = asked_by(part)
        with MouthWatcher() as watcher:
            while given is not None and not self._ended:
                index, row, frame, face_box = given
                began_s = time.perf_counter()
                self._seen.append((index, row, watcher.look(frame, face_box)))
                self._busy_s += time.perf_counter() - began_s
                self._taken_bytes += frame.nbytes
                given = self._queue.get()
        if self._ended or not self._seen:
            return
        curves = np.full((len(asked.curves), 2), np.nan)
        frames, rows = np.array([index for index, _, _ in self._seen]), np.array([row for _, row, _ in self._seen])
        curves[rows - first] = [mouth or (np.nan, np.nan) for _, _, mouth in self._seen]
        looked_at = np.zeros(len(curves), bool)
        looked_at[rows - first] = True
        found = match(curves, asked.curves, asked.speech, sparse=True)
        if found is not None:
            offset_ms = found.lag * 1000 / FPS + float(later_ms(frames, self._fps, rows).mean()) - DELAY_MS
            self._sync = _said(found, round(offset_ms, 1), curves, asked.speech, looked_at)


def _said(found: Match, offset_ms: float, curves: Curves, speech: Mask, looked_at: Mask) -> Sync:
    confidence = round(found.confidence, 3)
    if not found.certain:
        reason = why_unsure(curves, speech, looked_at)
        code: NoticeCode = "sync_face_lost" if reason == "face_lost" else "sync_still" if reason == "still" else "sync_unlike"
        return Sync(None, confidence, (notice(code, confidence=f"{confidence:.2f}", least=f"{found.chance:.2f}"),))
    if not EARLY_MS <= offset_ms <= LATE_MS:
        return Sync(offset_ms, confidence, (notice("sync_late" if offset_ms > 0 else "sync_early", ms=f"{abs(offset_ms):.0f}"),))
    return Sync(offset_ms, confidence)


def later_ms(frames: NDArray[np.int_], fps: float, rows: NDArray[np.int_]) -> F64:
    """By how much the middle of each frame comes after that of its row."""
    later: F64 = 1000 * ((frames + 0.5) / fps - (rows + 0.5) / FPS)
    return later


def plan(samples: Samples, fps: float) -> tuple[int, dict[int, int], dict[int, int]]:
    """The first row of the part that is looked at, and of frames in it by their index the row: those wanted, and others that may be.

    Both are empty where less than two seconds are voiced.
    """
    voiced = _voiced(samples)
    ahead = np.concatenate(([0], np.cumsum(voiced)))
    starts = np.arange(max(len(voiced) - PART_ROWS, 0) + 1)
    counts = ahead[np.minimum(starts + PART_ROWS, len(voiced))] - ahead[starts]
    first = int(counts.argmax())
    rows = first + np.flatnonzero(voiced[first : first + PART_ROWS])
    frames = np.round((rows + 0.5) * fps / FPS - 0.5).astype(int)
    near = abs(later_ms(frames, fps, rows)) <= NEAR_MS + 0.01
    usable = dict(zip(frames[near].tolist(), rows[near].tolist(), strict=True))
    if len(rows) < LEAST_SPEECH_ROWS or len(usable) < LOOKS:
        return first, {}, {}
    indices = list(usable)
    chosen = {indices[int((n + 0.5) * len(indices) / LOOKS)] for n in range(LOOKS)}
    return first, {index: usable[index] for index in chosen}, {index: row for index, row in usable.items() if index not in chosen}


def _voiced(samples: Samples) -> NDArray[np.bool_]:
    """(rows,) bool: where the sound is loud."""
    rows = len(samples) // SAMPLES_PER_FRAME
    if not rows:
        return np.zeros(0, bool)
    level = np.sqrt(np.square(samples[: rows * SAMPLES_PER_FRAME].reshape(rows, -1)).mean(1))
    voiced: NDArray[np.bool_] = level > max(VOICED * float(np.quantile(level, 0.9)), 1e-4)
    return voiced
