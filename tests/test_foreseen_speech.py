"""What a session is told of a recording before it hears it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from core.generation_run import GenerationRun
from core.media.audio import load_audio
from core.media.coming_audio import ComingAudio
from core.request import Controls, RenderOptions
from core.scheduler import Job, Scheduler
from core.settings import Settings
from core.types import Audio, AudioStream, Phone, Samples
from tests.support.streams import FakeEngine, FakeSession, prepared_run

VOICE = (0.3 * np.sin(np.arange(16_000) / 20)).astype(np.float32)


class Listening(FakeSession):
    def __init__(self) -> None:
        super().__init__(Controls())
        self.foreseen: list[Samples] = []

    def foresee(self, samples: Samples) -> None:
        assert not self.heard, "before the first push"
        self.foreseen.append(samples)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    with closing(Scheduler(1, 4)) as scheduler:
        yield scheduler


def foreseen(audio: Audio | AudioStream, scheduler: Scheduler) -> list[Samples]:
    session = Listening()

    def work(job: Job[int]) -> int:
        run = GenerationRun(prepared_run(FakeEngine(), RenderOptions()), session, audio, scheduler)
        return sum(1 for _ in run.frames(job))

    assert scheduler.schedule(work, "local", None).result(60) == 25
    return session.foreseen


def test_a_recording_is_foreseen_as_a_whole(scheduler: Scheduler) -> None:
    audio = load_audio((16_000, VOICE), Settings())
    (told,) = foreseen(audio, scheduler)
    np.testing.assert_array_equal(told, audio.samples)


def test_nothing_is_where_phones_are_known_or_the_end_is_not(scheduler: Scheduler) -> None:
    """So a text's stream, whose speech is still being made, is the same as its file."""
    audio = load_audio((16_000, VOICE), Settings())
    assert foreseen(dataclasses.replace(audio, phones=(Phone("a", 0.0, 1.0),)), scheduler) == []
    assert foreseen(ComingAudio(16_000, lambda cancel: iter([VOICE])), scheduler) == []
