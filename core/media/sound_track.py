"""Prepares the original sound for the video, at a rate and channel count that AAC carries and browsers play."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
import soxr

from core.media.decode import Block, SoundDecoder
from core.types import FPS, Audio, AudioStream

_AAC_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""AAC knows 64, 88.2 and 96 kHz too, but phones' decoders end at 48 kHz."""


def aac_rate_hz(rate_hz: int) -> int:
    """The recording's own rate where AAC has it; else the highest that divides it evenly (96 → 48 kHz), else the next higher."""
    if rate_hz in _AAC_RATES_HZ:
        return rate_hz
    if rate_hz > _AAC_RATES_HZ[-1]:
        return next((rate for rate in reversed(_AAC_RATES_HZ[-2:]) if rate_hz % rate == 0), _AAC_RATES_HZ[-1])
    return next(rate for rate in _AAC_RATES_HZ if rate > rate_hz)


class SoundTrack:
    """Decodes a recording's original again, as far as it is asked to: nothing waits for a long recording to be decoded. Of one that is
    still being made it takes the sound as it comes.

    rate_hz, channels: of what `read` returns (mono stays mono, everything else is stereo).
    """

    def __init__(self, audio: Audio | AudioStream) -> None:
        self.rate_hz = aac_rate_hz(audio.rate_hz)
        self.channels = min(audio.channels, 2)
        self._source_hz = audio.rate_hz
        self._blocks = self._at_its_rate(_decoded(audio) if isinstance(audio, Audio) else audio.sound())
        self._n_read = 0
        self._rest: Block = np.zeros((self.channels, 0), np.float32)

    def read_to(self, n_frames: int, ahead: int = 0) -> Block:
        """As `read`, what follows up to the end of the first `n_frames` video frames and `ahead` samples more."""
        return self.read(max(0, n_frames * self.rate_hz // FPS + ahead - self._n_read))

    def silence_to(self, n_frames: int) -> Block:
        """What is missing up to there when the frames go on more than one frame longer than the recording; else nothing."""
        missing = n_frames * self.rate_hz // FPS - self._n_read
        return np.zeros((self.channels, missing if missing > self.rate_hz // FPS else 0), np.float32)

    def read(self, n: int) -> Block:
        """The next n samples, (channels, n) float32; fewer at the end, and none after it. Raises AudioError."""
        pieces, have = [self._rest], self._rest.shape[1]
        while have < n:
            block = next(self._blocks, None)
            if block is None:
                break
            pieces.append(block)
            have += block.shape[1]
        joined = np.concatenate(pieces, axis=1) if len(pieces) > 1 else self._rest
        self._rest = joined[:, n:]
        self._n_read += min(n, joined.shape[1])
        return joined[:, :n]

    def close(self) -> None:
        self._blocks.close()

    def _at_its_rate(self, source: Generator[Block, None, None]) -> Generator[Block, None, None]:
        with closing(source):
            if self._source_hz == self.rate_hz:
                yield from source
                return
            resampler = soxr.ResampleStream(self._source_hz, self.rate_hz, self.channels, dtype="float32", quality="HQ")
            for block in source:
                yield np.ascontiguousarray(resampler.resample_chunk(np.ascontiguousarray(block.T).reshape(-1, self.channels)).T)
            yield np.ascontiguousarray(resampler.resample_chunk(np.zeros((0, self.channels), np.float32), last=True).T)


def _decoded(audio: Audio) -> Generator[Block, None, None]:
    with SoundDecoder(audio.original) as decoder:
        yield from decoder
