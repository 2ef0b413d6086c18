"""The sync report of a video file: offset, confidence, the share of speech that fits, and a timeline by seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.errors import AudioError, ImageError
from core.media.clip_pictures import PictureMaker
from core.media.files import FileKind
from core.media.formats import VIDEO_FORMATS
from core.media.video_decoding import VideoDecoder
from core.settings import Settings
from core.sync.correlation import F64, OPENING, STILL, Curves, Mask, Match, correlations, match, movement, without_slow
from core.sync.picture import MouthWatcher
from core.sync.sound import Asked, asked_by_file
from core.types import FPS, Frame

_FILE = FileKind("video", VIDEO_FORMATS, "use a shorter part of it, or set TALKING_HEAD_MAX_VIDEO_BYTES", ImageError)
DELAY_MS = 1.0
"""By how much a video of the lite engine is late by this measure: what the mesh and the reading of the mouth networks add."""
EARLY_MS, LATE_MS = -125.0, 45.0
"""Viewers notice when the picture is early (the sound late) by 125 ms or late by 45 ms (ITU-R BT.1359-1)."""
LEAST_STEP_S = 0.03
"""Of a video with more frames a second not every one is looked at."""
MOST_GAP_S = 0.13
"""Between two frames in which the mouth was seen; in a longer gap it is not known what it did."""
LOCAL_ROWS = 25
"""A second of the timeline is judged with so many rows on each side: 3 s, or a single second would fit by luck too often."""
LOCAL_FIT = 0.3

Reason = Literal["", "no_sound", "silent", "no_face", "short", "face_lost", "still", "unlike"]
"""Why there is no confidence, or a low one. no_sound: there is no sound track. silent: nobody speaks. no_face: none is found. short: less
than a second of speech is seen. face_lost: the face is seen in less than half of the speech. still: the lips hardly move. unlike: they
move, but not as this sound asks.
"""


@dataclass(frozen=True)
class Second:
    """One second of the timeline, from `from_s` of the file's clock.

    speech: share of it in which somebody speaks; seen: in which the mouth is seen. correlation: -1..1, of the second and those beside it,
    at the offset of the whole; fits: whether that is above 0.3. Both None without speech or without a mouth.
    """

    from_s: float
    speech: float
    seen: float
    correlation: float | None
    fits: bool | None


@dataclass(frozen=True)
class SyncReport:
    """How well lips and sound of a video fit.

    offset_ms: positive where the picture is late (the sound early), negative where the sound is late; within ±600 ms.
    confidence: the correlation at that offset less the median of those at all offsets of up to ±15 frames: about 0 where nothing fits, 1
    and more for lips that do exactly what the sound asks. chance: what sound that is not its own reaches once in 20 times with so much
    speech; a confidence below is none. Both, and offset_ms, are None where nothing could be compared. reason: why so, or why confidence is
    below chance. speech_s: seconds of speech in which the mouth was seen. share: of the seconds with speech, of those that fit.
    """

    offset_ms: float | None
    confidence: float | None
    chance: float | None
    reason: Reason
    speech_s: float
    share: float | None
    timeline: tuple[Second, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the lips follow this sound, at whatever offset."""
        return self.confidence is not None and self.chance is not None and self.confidence >= self.chance

    @property
    def in_time(self) -> bool:
        """Whether they do so when the sound is heard, as far as viewers notice."""
        return self.fits and self.offset_ms is not None and EARLY_MS <= self.offset_ms <= LATE_MS

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "timeline": [dataclasses.asdict(second) for second in self.timeline],
                "fits": self.fits, "in_time": self.in_time}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Measured:
    """The report, and the curves it was made of: `seen` and `asked`, (n, 2) each, and (31,) correlations by lag, where there are any."""

    report: SyncReport
    seen: Curves
    asked: Asked
    correlations: F64 | None


def measure(path: Path, settings: Settings) -> Measured:
    """Of a file in any container that videos may come in, the largest face where it begins.

    Raises ImageError where it is no video that can be decoded, AudioError where its sound cannot be used, both where it passes a limit of
    `settings` (bytes, seconds of sound). What has no sound, no speech or no face gives a report without a confidence.
    """
    data = _FILE.read(path, settings.max_video_bytes)
    next(_shown_frames(data, path.name))  # what is no video is told as such
    try:
        asked = asked_by_file(data, path.name, settings)
    except AudioError as error:
        if error.code not in ("recording_mute", "recording_empty"):
            raise
        return Measured(_nothing("no_sound"), np.zeros((0, 2)), Asked(np.zeros((0, 2)), np.zeros(0, bool)), None)
    seen = seen_in(data, path.name, asked.start_s, len(asked.curves)) if asked.speech.any() else np.full((len(asked.curves), 2), np.nan)
    found = match(seen, asked.curves, asked.speech)
    return Measured(judge(found, seen, asked), seen, asked, None if found is None else found.correlations)


def seen_in(data: bytes, name: str, start_s: float, n_rows: int) -> Curves:
    """(n_rows, 2): the mouth in the middle of each 40 ms from start_s on, between the frames looked at; NaN where it is not seen."""
    times: list[float] = []
    mouths: dict[int, tuple[float, float] | None] = {}  # by the number of the frame
    end_s, next_s = start_s + n_rows / FPS, -np.inf
    with MouthWatcher() as watcher:
        for number, (time_s, frame) in enumerate(_shown_frames(data, name)):
            times.append(time_s)
            if time_s > end_s + 1:
                break
            if time_s >= next_s:
                mouths[number] = watcher.look(frame)
                next_s = time_s + LEAST_STEP_S
    return _at_rows(np.array(times), mouths, start_s, n_rows)


def _shown_frames(data: bytes, name: str) -> Iterator[tuple[float, Frame]]:
    """The frames, and when they are shown by the clock that picture and sound share; 25 a second where the file does not say."""
    with closing(VideoDecoder(data, name)) as decoder:
        make = PictureMaker(decoder.pixel_shape)
        for n, picture in enumerate(decoder.frames()):
            frame = make(picture)
            if not n:  # those that come in another size later are fitted in: the face is followed by its place
                make = PictureMaker(decoder.pixel_shape, (frame.shape[1], frame.shape[0]))
            yield (n / FPS if picture.time is None else picture.time), frame


def _at_rows(times: F64, mouths: dict[int, tuple[float, float] | None], start_s: float, n_rows: int) -> Curves:
    """A frame stands for the middle of the time in which it is shown."""
    out = np.full((n_rows, 2), np.nan)
    known = [number for number, mouth in mouths.items() if mouth is not None]
    if not known:
        return out
    times = np.maximum.accumulate(times)  # of a damaged file they may go back
    steps = np.diff(times)
    shown_s = np.minimum(np.append(steps, np.median(steps) if len(steps) else 1 / FPS), MOST_GAP_S)
    at = (times + shown_s / 2)[known]
    rows = start_s + (np.arange(n_rows) + 0.5) / FPS
    after = np.searchsorted(at, rows)
    before, beyond = at[np.clip(after - 1, 0, len(at) - 1)], at[np.clip(after, 0, len(at) - 1)]
    near = np.minimum(abs(rows - before), abs(rows - beyond)) <= MOST_GAP_S / 2
    bridged = near & (beyond - before <= MOST_GAP_S)
    for column in range(2):
        out[bridged, column] = np.interp(rows[bridged], at, [mouth[column] for mouth in mouths.values() if mouth is not None])
    return out


def judge(found: Match | None, seen: Curves, asked: Asked) -> SyncReport:
    """The report of curves that were compared."""
    if found is None:
        none_seen = not np.isfinite(seen[:, OPENING]).any()
        return _nothing("silent" if not asked.speech.any() else "no_face" if none_seen else "short", _timeline(seen, asked, None))
    timeline = _timeline(seen, asked, round(found.lag))
    weights = [(second.speech, second.fits) for second in timeline if second.fits is not None]
    total = sum(speech for speech, _ in weights)
    return SyncReport(
        offset_ms=round(found.lag * 1000 / FPS - DELAY_MS, 1),
        confidence=round(found.confidence, 3),
        chance=round(found.chance, 3),
        reason="" if found.certain else why_unsure(seen, asked.speech),
        speech_s=round(found.seconds, 2),
        share=round(sum(speech for speech, fits in weights if fits) / total, 3) if total else None,
        timeline=timeline,
    )


def why_unsure(seen: Curves, speech: Mask, looked_at: Mask | None = None) -> Reason:
    """Why lips and sound do not fit. looked_at: (n,), the rows in which a mouth could have been seen."""
    of = speech if looked_at is None else speech & looked_at
    known = np.isfinite(seen[:, OPENING]) & of
    if known.sum() < 0.5 * of.sum():
        return "face_lost"
    return "still" if movement(seen[known]) < STILL else "unlike"


def _timeline(seen: Curves, asked: Asked, lag: int | None) -> tuple[Second, ...]:
    level = without_slow(seen), without_slow(asked.curves)
    seconds = []
    for first in range(0, len(seen), FPS):
        rows = slice(first, min(first + FPS, len(seen)))
        speech, known = float(asked.speech[rows].mean()), float(np.isfinite(seen[rows, OPENING]).mean())
        near = slice(max(first - LOCAL_ROWS, 0), first + FPS + LOCAL_ROWS)
        value, fits = None, None
        if lag is not None and speech >= 0.2 and known >= 0.5:
            found = float(correlations(level[0][near], level[1][near], np.array([lag]), FPS)[0])
            if np.isfinite(found):
                value, fits = round(found, 3), found >= LOCAL_FIT
        seconds.append(Second(round(asked.start_s + first / FPS, 3), round(speech, 2), round(known, 2), value, fits))
    return tuple(seconds)


def _nothing(reason: Reason, timeline: tuple[Second, ...] = ()) -> SyncReport:
    return SyncReport(None, None, None, reason, 0.0, None, timeline)
