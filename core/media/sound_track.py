"""Prepares the original sound for the video, at a rate and channel count that AAC carries and browsers play."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import soxr

from core.media.clip_sound import ClipSound
from core.media.codec_facts import aac_rate_hz
from core.media.decode import Block, SoundDecoder
from core.types import FPS, Audio, AudioStream


@dataclass(frozen=True, eq=False)
class BesideSpeech:
    """What is heard besides the recording. goes_on: silence follows it, for as long as there are frames. background: a clip's own sound,
    level: how loud it is, 0..1, relative to the recording; both are turned down so far that their sum cannot exceed full scale.
    """

    goes_on: bool = False
    background: ClipSound | None = None
    level: float = 0.0


ALONE = BesideSpeech()
"""Nothing but the recording."""


class SoundTrack:
    """Decodes a recording's original again, as far as it is asked to: nothing waits for a long recording to be decoded. Of one that is
    still being made it takes the sound as it comes.

    rate_hz, channels: of what `read` returns (mono stays mono, everything else is stereo).
    """

    def __init__(self, audio: Audio | AudioStream, rate: Fraction = Fraction(FPS), beside: BesideSpeech = ALONE) -> None:
        """rate: frames a second of the video."""
        self.rate_hz = aac_rate_hz(audio.rate_hz)
        self.channels = min(audio.channels, 2)
        self._source_hz, self._rate = audio.rate_hz, rate
        self._speech = _Reading(self._at_its_rate(_decoded(audio) if isinstance(audio, Audio) else audio.sound()), self.channels)
        self._background: _Reading | None = None
        self._endless = beside.goes_on
        if beside.background is not None and beside.level > 0:
            self._endless = True
            self._share = np.float32(1 / (1 + beside.level)), np.float32(beside.level / (1 + beside.level))
            self._background = _Reading(beside.background.blocks(self.rate_hz, self.channels), self.channels)
        self._n_read = 0
        self._spoken: int | None = None
        """Samples of the recording, once it has ended."""

    def read_to(self, n_frames: int, ahead: int = 0) -> Block:
        """As `read`, what follows up to the end of the first `n_frames` video frames and `ahead` samples more; these only as far as the
        recording has them, unless it had ended with those frames.
        """
        end = self._samples(n_frames)
        return self.read(max(0, end + ahead - self._n_read), ahead)

    def silence_to(self, n_frames: int) -> Block:
        """What is missing up to there when the frames go on more than one frame longer than the recording; else nothing."""
        missing = self._samples(n_frames) - self._n_read
        return np.zeros((self.channels, missing if missing > self._samples(1) else 0), np.float32)

    def read(self, n: int, ahead: int = 0) -> Block:
        """The next n samples, (channels, n) float32; where nothing goes on after the recording fewer at its end, and none after it.
        ahead: as in `read_to`. Raises AudioError.
        """
        block, until = self._speech.take(n), self._n_read + n
        if block.shape[1] < n and self._spoken is None:
            self._spoken = self._n_read + block.shape[1]
        if self._endless and self._spoken is not None and self._spoken <= until - ahead:
            block = np.concatenate([block, np.zeros((self.channels, n - block.shape[1]), np.float32)], axis=1)
        self._n_read += block.shape[1]
        if self._background is not None:
            speech, background = self._share
            block = speech * block + background * self._background.take(block.shape[1])
        return block

    def _samples(self, n_frames: int) -> int:
        return int(n_frames * self.rate_hz // self._rate)

    def close(self) -> None:
        self._speech.close()
        if self._background is not None:
            self._background.close()

    def _at_its_rate(self, source: Generator[Block, None, None]) -> Generator[Block, None, None]:
        with closing(source):
            if self._source_hz == self.rate_hz:
                yield from source
                return
            resampler = soxr.ResampleStream(self._source_hz, self.rate_hz, self.channels, dtype="float32", quality="HQ")
            for block in source:
                yield np.ascontiguousarray(resampler.resample_chunk(np.ascontiguousarray(block.T).reshape(-1, self.channels)).T)
            yield np.ascontiguousarray(resampler.resample_chunk(np.zeros((0, self.channels), np.float32), last=True).T)


class _Reading:
    """Takes blocks of any length out of blocks as they come."""

    def __init__(self, blocks: Generator[Block, None, None], channels: int) -> None:
        self._blocks = blocks
        self._rest: Block = np.zeros((channels, 0), np.float32)

    def take(self, n: int) -> Block:
        """The next n samples; fewer at the end."""
        pieces, have = [self._rest], self._rest.shape[1]
        while have < n:
            block = next(self._blocks, None)
            if block is None:
                break
            pieces.append(block)
            have += block.shape[1]
        joined = np.concatenate(pieces, axis=1) if len(pieces) > 1 else self._rest
        self._rest = joined[:, n:]
        return joined[:, :n]

    def close(self) -> None:
        self._blocks.close()


def _decoded(audio: Audio) -> Generator[Block, None, None]:
    with SoundDecoder(audio.original) as decoder:
        yield from decoder
