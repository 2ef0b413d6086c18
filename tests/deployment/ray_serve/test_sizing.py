"""The guide's sizing table follows from the times that it names, and the sleeping engine takes such times in Ditto's rhythm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import benchmarks.sleeping_engine as sleeping
from benchmarks.device_times import PUBLISHED, DeviceTimes, motion_options, read_stages, sizing_row
from benchmarks.sleeping_engine import LIVE_TIMES, RECORDED_TIMES, SleepingEngine, SleepingSession, as_variable
from core.options import PRESETS, read_options
from core.request import Framing
from core.types import SAMPLES_PER_FRAME, Photo
from tests.support.paths import ROOT

TIMES = DeviceTimes(window_ms=700.0, speech_ms=50.0, frame_ms=3.0, register_ms=4.0, source="made up")
SECONDS = 6
N_FRAMES = SECONDS * 25


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Milliseconds that the device was taken, in place of taking it."""
    taken: list[float] = []
    monkeypatch.setattr(sleeping, "sleep", lambda seconds: taken.append(1000 * seconds))
    monkeypatch.setenv(LIVE_TIMES, as_variable(TIMES))
    monkeypatch.setenv(RECORDED_TIMES, as_variable(TIMES.slower(2.0)))
    return taken


def opened(portrait: Photo, live: bool) -> SleepingSession:
    engine, options = SleepingEngine(), read_options(PRESETS["realtime"] if live else {})
    return engine.session(engine.register(portrait, Framing()), options.controls, options.render)


def spoken(session: SleepingSession) -> list[int]:
    """Frames after each second of speech, and at its end."""
    bursts = [len(list(session.push(np.zeros(25 * SAMPLES_PER_FRAME, np.float32)))) for _ in range(SECONDS)]
    return [*bursts, len(list(session.flush()))]


def test_a_recording_comes_in_windows_of_80_with_70_new_frames(portrait: Photo, slept: list[float]) -> None:
    session = opened(portrait, live=False)
    assert slept == [2 * TIMES.register_ms]
    bursts = spoken(session)
    assert bursts == [0, 0, 0, 69, 0, 0, 81]
    windows = slept.count(2 * TIMES.window_ms)
    assert windows == 3  # of the frames from 0, 70 and 140 on
    assert slept.count(2 * TIMES.frame_ms) == N_FRAMES
    assert slept.count(2 * TIMES.speech_ms) == N_FRAMES / 5


def test_a_live_session_gets_five_frames_of_each_window(portrait: Photo, slept: list[float]) -> None:
    session = opened(portrait, live=True)
    slept.clear()
    bursts = spoken(session)
    assert bursts == [15, 25, 25, 25, 25, 25, 10]  # of the sound at the end, windows of 5 wait for a whole one
    assert slept.count(TIMES.window_ms) * 5 == pytest.approx(N_FRAMES, abs=10)


def test_the_time_of_a_frame_has_its_part_of_a_window() -> None:
    assert TIMES.of_a_frame_ms(motion_options(live=False)) == pytest.approx(700 / 70 + 50 / 5 + 3)
    assert TIMES.of_a_frame_ms(motion_options(live=True)) == pytest.approx(700 / 5 + 50 / 5 + 3)


def test_times_of_a_gpu_are_read_where_all_were_measured(tmp_path: Path) -> None:
    stages = {"motion window, 50 steps": 8.0, "speech features (stand-in)": 1.0, "warp and decode": 2.0, "appearance and motion": 3.0}
    rows = [{"way": "engine", "stage": stage, "ms_per_item": ms * slow} for stage, ms in stages.items() for slow in (1, 4)]
    path = tmp_path / "stages.json"
    published = {**rows[0], "way": "published", "ms_per_item": 0.1}
    path.write_text(json.dumps({"device": "A GPU", "dtype": "float16", "rows": [*rows, published]}))
    assert read_stages(path) == DeviceTimes(8.0, 1.0, 2.0, 3.0, "A GPU, float16")
    path.write_text(json.dumps({"device": "A GPU", "dtype": "float16", "rows": rows[:4]}))
    with pytest.raises(ValueError, match="warp and decode"):
        read_stages(path)


def test_the_table_of_the_guide_is_this_arithmetic() -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text("utf-8").splitlines()
    published = [PUBLISHED.of_a_frame_ms(motion_options(live)) for live in (True, False)]
    assert sizing_row("published", *published) in guide
    for assumed_ms in (2.0, 5.0, 10.0):
        assert sizing_row("assumed", assumed_ms, assumed_ms) in guide
