"""When each picture of a clip is shown, and which of them is shown at the frames of a constant rate."""

from __future__ import annotations

import itertools
import math
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from core.clip_options import MAX_FPS, MIN_FPS
from core.media.video_decoding import VideoDecoder
from core.types import FPS

_BROADCAST = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60))
"""The rates that are no whole numbers."""
_ALIKE = 0.0006
"""Rates that differ by this part are told apart: 24 and 23.976 do by 0.001, and times in whole milliseconds blur them."""
MAX_RATE = 1000
"""Pictures a second, on the average, that are read: no camera for people makes more, and each has to be decoded, though it is not shown."""
TOLERATED_S = 1.0
_REORDERED_S = 5.0
"""Seconds that a packet may come after those that are shown later."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The stored pictures of a clip, in the order in which they are shown, up to the bound on its length.

    pts: (n,) int64, growing, in units of time_base. keys: (k,) int64, numbers of those that decoding can begin at, 0 among them; only that
    where the file does not say when its pictures are shown, and `pts` counts them. goes_on: the file is more than TOLERATED_S longer.
    """

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    time_base: Fraction
    counted: bool = False
    goes_on: bool = False

    def times(self) -> NDArray[np.float64]:
        """(n,) seconds from the first."""
        seconds: NDArray[np.float64] = (self.pts - self.pts[0]) * float(self.time_base)
        return seconds

    @property
    def first_s(self) -> float | None:
        """When the first picture is shown, seconds on the file's own clock."""
        return None if self.counted else float(self.pts[0] * self.time_base)

    @property
    def duration_s(self) -> float:
        """The last picture is shown as long as the one before it, at most a second."""
        times = self.times()
        last_s = min(float(times[-1] - times[-2]), 1.0) if len(times) > 1 else 1 / FPS
        return float(times[-1]) + last_s

    @property
    def rate(self) -> Fraction:
        """The clip's own frames per second, as a constant rate of 10 to 60 that plays it at its speed: twice as many are halved, and so
        on; an uneven rate is that of most frames, rounded; one too slow for a mouth is 25.
        """
        times = self.times()
        if len(times) < 2 or times[-1] <= 0:
            return Fraction(FPS)
        mean = (len(times) - 1) / float(times[-1])
        even = bool(np.abs(times - np.arange(len(times)) / mean).max() < 0.5 / mean)
        if not even:
            mean = 1 / max(float(np.median(np.diff(times))), 1e-3)
        known = min((*_BROADCAST, *map(Fraction, range(1, 241))), key=lambda rate: abs(float(rate) - mean))
        if even and abs(float(known) / mean - 1) > _ALIKE:
            known = max(Fraction(mean).limit_denominator(1001), Fraction(1))
        rate = known / math.ceil(known / MAX_FPS)
        return rate if rate >= MIN_FPS else Fraction(FPS)

    def shown(self, fps: float, limit: int) -> NDArray[np.int64]:
        """(m,) the picture nearest to each 1/fps second, by number: as many as the clip is long, at most `limit`, at least one."""
        times = self.times()
        n = min(limit, max(1, math.ceil(self.duration_s * fps - 0.5 - 1e-6)))
        middles = (times[1:] + times[:-1]) / 2
        numbers: NDArray[np.int64] = np.searchsorted(middles, np.arange(n) / fps + 1e-9, side="right").astype(np.int64)
        return numbers


def read_timeline(data: bytes, name: str, max_s: float) -> Timeline:
    """The timeline of a file's first `max_s` seconds. What is damaged so that it gives no picture has its place all the same: the picture
    before it is shown. Raises ImageError where nothing can be decoded.
    """
    with closing(VideoDecoder(data, name)) as decoder:
        timeline = _of_packets(decoder, max_s)
    if timeline is not None:
        return timeline
    with closing(VideoDecoder(data, name)) as decoder:
        return _of_frames(decoder, max_s)


def _of_packets(decoder: VideoDecoder, max_s: float) -> Timeline | None:
    """Without decoding anything; None where packets do not say when they are shown, or where that is guessed: AVI knows only an order."""
    if "avi" in decoder.container.format.name and decoder.stream.codec_context.has_b_frames:
        return None
    pts: list[int] = []
    keys: list[int] = []
    span, late = math.ceil(max_s / decoder.time_base), math.ceil(_REORDERED_S / decoder.time_base)
    first: int | None = None
    most = math.ceil(max_s * MAX_RATE)
    try:
        for packet in decoder.container.demux(decoder.stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None:
                return None
            first = packet.pts if first is None else min(first, packet.pts)
            pts.append(packet.pts)
            if len(pts) >= most or packet.pts > first + span + late:
                break
            if packet.is_keyframe:
                keys.append(packet.pts)
    except (av.FFmpegError, ValueError, OSError):
        pass  # what came before the damage is there
    if first is None:
        return None
    table = np.unique(np.array(pts, np.int64))
    if len(table) < len(pts):
        return None  # two pictures at one time: the decoder will know better
    table = table[table < first + max(span, 1)]
    at = np.searchsorted(table, np.array([first, *keys], np.int64))
    goes_on = max(pts) > first + span + TOLERATED_S / decoder.time_base
    return Timeline(table, np.unique(at[at < len(table)]).astype(np.int64), decoder.time_base, goes_on=goes_on)


def _of_frames(decoder: VideoDecoder, max_s: float) -> Timeline:
    """By decoding all of it: for containers whose packets do not say when they are shown."""
    rate = Fraction(decoder.stream.average_rate or FPS)
    rate = rate if 1 <= rate <= MAX_RATE else Fraction(FPS)
    most, more = max(1, math.ceil(max_s * rate)), math.ceil(TOLERATED_S * rate)
    n = sum(1 for _ in itertools.islice(decoder.frames(), most + more))
    return Timeline(np.arange(min(n, most), dtype=np.int64), np.zeros(1, np.int64), 1 / rate, True, n == most + more)
