"""The sound of a video source under new speech: from the clip's first picture on, and again with each turn of the picture."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import soxr

from core.clip_options import Longer
from core.errors import AudioError
from core.media.decode import Block, SoundDecoder
from core.media.source import Clip

_FADE_S = 0.02
"""At both sides of the joint between two turns, which would click."""
_SILENCE = 16_384
"""Samples of a block of silence."""
KEPT_BYTES = 32 * 2**20
"""A turn of so few bytes is decoded once and kept: before a short clip's first picture there may be hours of sound to pass over."""


@dataclass(frozen=True, eq=False)
class ClipSound:
    """data: of the clip's file. first_s: when its first picture is shown, seconds on the file's own clock; None where that is not known.
    turn_s: how long the picture takes from its first frame to its last. longer: as of the picture; forth and back as well the sound runs
    forward, from its start with each turn, as nobody listens to sound played backwards.
    """

    data: bytes = field(repr=False)
    first_s: float | None
    turn_s: Fraction
    longer: Longer

    @classmethod
    def of(cls, clip: Clip, n_frames: int, rate: Fraction, longer: Longer) -> ClipSound:
        """n_frames: of the clip at `rate`."""
        return cls(clip.data, clip.timeline.first_s, n_frames / rate, longer)

    def is_there(self) -> bool:
        """Whether there is a sound track that can be decoded."""
        try:
            with SoundDecoder(self.data) as decoder:
                return next(iter(decoder), None) is not None
        except AudioError:
            return False

    def blocks(self, rate_hz: int, channels: int) -> Generator[Block, None, None]:
        """Blocks without end, (channels, n) float32 within -1..1. What cannot be decoded is silence."""
        first: list[Block] = []
        keeps = self.turn_s * rate_hz * channels * 4 <= KEPT_BYTES
        with closing(self._padded(rate_hz, channels)) as decoded:
            yield from self._turn(_noted(decoded, first) if keeps else decoded, rate_hz, 0)
        turn = 1
        while self.longer != "freeze":
            sound = itertools.chain(first, _silence(channels)) if keeps else self._padded(rate_hz, channels)
            yield from self._turn(sound, rate_hz, turn)
            turn += 1
        yield from _silence(channels)

    def _turn(self, sound: Iterator[Block], rate_hz: int, turn: int) -> Iterator[Block]:
        """The samples of one turn; the ends of all turns lie where the picture's do."""
        n = int((turn + 1) * self.turn_s * rate_hz) - int(turn * self.turn_s * rate_hz)
        fade, done = max(1, min(int(_FADE_S * rate_hz), n // 2)), 0
        for block in sound:
            block = block[:, : n - done]
            at = np.arange(done, done + block.shape[1])
            gain = np.minimum((n - at) / fade, 1.0 if turn == 0 else (at + 1) / fade)
            yield block * np.clip(gain, 0, 1).astype(np.float32)
            done += block.shape[1]
            if done >= n:
                return

    def _padded(self, rate_hz: int, channels: int) -> Generator[Block, None, None]:
        try:
            yield from self._decoded(rate_hz, channels)
        except AudioError:
            pass
        yield from _silence(channels)

    def _decoded(self, rate_hz: int, channels: int) -> Iterator[Block]:
        """The whole sound, at that rate, from the first picture on."""
        resampler: soxr.ResampleStream | None = None
        late: int | None = None
        with SoundDecoder(self.data) as decoder:
            for block in decoder:
                if late is None:
                    starts = decoder.start_s is not None and self.first_s is not None
                    late = round((decoder.start_s - self.first_s) * rate_hz) if starts else 0  # type: ignore[operator]
                    for done in range(0, late, _SILENCE):  # a file may claim that its sound begins in years
                        yield np.zeros((channels, min(_SILENCE, late - done)), np.float32)
                wide = _with_channels(np.clip(block, -1, 1), channels)
                if decoder.rate_hz != rate_hz:
                    resampler = resampler or soxr.ResampleStream(decoder.rate_hz, rate_hz, channels, dtype="float32", quality="HQ")
                    wide = _resampled(resampler, wide, False)
                cut = min(max(-late, 0), wide.shape[1])  # what is heard before the first picture
                late += cut
                yield wide[:, cut:]
            if resampler is not None:
                yield _resampled(resampler, np.zeros((channels, 0), np.float32), True)


def _silence(channels: int) -> Iterator[Block]:
    while True:
        yield np.zeros((channels, _SILENCE), np.float32)


def _noted(blocks: Iterator[Block], into: list[Block]) -> Iterator[Block]:
    for block in blocks:
        if block.size:
            into.append(block)
        yield block


def _with_channels(block: Block, channels: int) -> Block:
    if len(block) == channels:
        return block
    return block.mean(axis=0, keepdims=True, dtype=np.float32) if channels == 1 else np.repeat(block, channels, axis=0)


def _resampled(resampler: soxr.ResampleStream, block: Block, last: bool) -> Block:
    channels = len(block)
    samples: Block = resampler.resample_chunk(np.ascontiguousarray(block.T).reshape(-1, channels), last=last)
    return np.clip(np.ascontiguousarray(samples.reshape(-1, channels).T), -1, 1)
