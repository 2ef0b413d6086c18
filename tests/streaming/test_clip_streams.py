"""Streams at a clip's own rate, with the rest of the clip after the recording and its sound under it: the file's frames and samples."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from core.generation import Generation, GenerationInfo
from core.generation_run import GenerationRun
from core.media.audio import load_audio
from core.media.coming_audio import ComingAudio
from core.media.source import Clip
from core.request import Controls, RenderOptions
from core.scheduler import Job, Scheduler
from core.settings import Settings
from core.streaming.recording import SegmentStream
from core.streaming.spool import SpoolRoom
from core.types import SAMPLE_RATE_HZ, Audio, AudioStream, Frame, Samples
from tests.support.clip_files import clip, clip_file, picture
from tests.support.streams import FakeEngine, FakeSession, pictures, prepared_run, sound

RATE_HZ = 24_000
CLIP_S = 2


class RateSession(FakeSession):
    """The fake session at another rate, of a clip of CLIP_S."""

    def __init__(self, rate: Fraction) -> None:
        super().__init__(Controls())
        self.fps, self.clip_frames = float(rate), round(CLIP_S * rate)
        self._rate, self._made = rate, 0

    def push(self, samples: Samples) -> Iterator[Frame]:
        self._n += len(samples)
        return self._until(math.floor((self._n - self.look_ahead_samples) * self._rate / SAMPLE_RATE_HZ))

    def flush(self) -> Iterator[Frame]:
        yield from self._until(math.ceil(self._n * self._rate / SAMPLE_RATE_HZ))
        self._n = self._made = 0

    def _until(self, n: int) -> Iterator[Frame]:
        while self._made < n:
            self._made += 1
            yield self._paint(100, 0)


@pytest.fixture(scope="module")
def humming() -> Clip:
    hum = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(CLIP_S * 16_000) / 16_000)
    return clip(clip_file([picture(i) for i in range(25 * CLIP_S)], sound=hum.astype(np.float32)))


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    with closing(Scheduler(1, 4)) as scheduler:
        yield scheduler


def started(rate: Fraction, options: RenderOptions, audio: Audio | AudioStream, clip: Clip, scheduler: Scheduler) -> GenerationRun:
    prepared = dataclasses.replace(prepared_run(FakeEngine(), options), clip=clip)
    return GenerationRun(prepared, RateSession(rate), audio, scheduler)


def file_of(run: Callable[[], GenerationRun], scheduler: Scheduler, path: Path) -> tuple[bytes, GenerationInfo]:
    def work(job: Job[Generation]) -> Generation:
        return run().write_video(job, path, None)

    made = scheduler.schedule(work, "local", None).result(60)
    return made.path.read_bytes(), made.info


def stream_of(run: Callable[[], GenerationRun], scheduler: Scheduler) -> tuple[bytes, GenerationInfo]:
    room = SpoolRoom(2**24, io.BytesIO)
    with SegmentStream(lambda job: run(), lambda work: scheduler.schedule(work, "local", None), room) as stream:
        return b"".join(segment.data for segment in stream), stream.job.result(60)


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("seconds", [0.5, 1.237, 3.1])
def test_a_stream_is_the_file(rate: Fraction, seconds: float, humming: Clip, scheduler: Scheduler, tmp_path: Path) -> None:
    """Of a whole recording, and of one that is still being made: to the last byte."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    voice = (0.4 * np.sin(2 * np.pi * 140 * times)).astype(np.float32)
    audio = load_audio((RATE_HZ, voice), Settings())
    options = RenderOptions(shorter="rest", keep_background=0.5, longer="loop")
    file, told = file_of(lambda: started(rate, options, audio, humming, scheduler), scheduler, tmp_path / "v.mp4")
    whole, said = stream_of(lambda: started(rate, options, audio, humming, scheduler), scheduler)
    n = max(math.ceil(Fraction(len(audio.samples), 16_000) * rate), round(CLIP_S * rate))
    assert told.frames == said.frames == n
    assert told.fps == said.fps == pytest.approx(float(rate), abs=0.001)
    assert [picture.pts * picture.time_base for picture in pictures(whole)] == [i / rate for i in range(n)]
    with av.open(io.BytesIO(file)) as container:
        wanted = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert 0 <= wanted.shape[1] - int(n / rate * RATE_HZ) < 1024  # the last packet is full
    got = sound(whole)
    length = min(wanted.shape[1], got.shape[1])
    assert length >= int(n / rate * RATE_HZ)
    np.testing.assert_array_equal(got[:, :length], wanted[:, :length])
    for cuts in ([], [1000, 1001, 9000], list(range(777, len(voice), 777))):
        coming = ComingAudio(RATE_HZ, lambda cancel, cuts=cuts: iter(np.split(voice, cuts)))  # type: ignore[misc]
        assert stream_of(lambda coming=coming: started(rate, options, coming, humming, scheduler), scheduler)[0] == whole, cuts  # type: ignore[misc]
