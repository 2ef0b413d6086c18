"""What is measured of a video while it is made: on few frames, beside the work, and never to its harm."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from core.generation import GenerationInfo
from core.notices import read_notice
from core.request import Request
from core.settings import Settings
from core.studio import Studio
from core.sync import meter
from core.sync.meter import LOOKS, NOT_MEASURED, PART_ROWS, Sync, SyncMeter, plan
from core.sync.picture import MouthWatcher
from core.types import FPS, SAMPLE_RATE_HZ, Audio, Frame, Photo, Samples
from tests.sync.conftest import moved


def measured(frames: list[Frame], samples: Samples) -> Sync:
    with SyncMeter(samples, FPS) as each:
        for index, frame in enumerate(frames):
            each.offer(index, frame)
    return each.sync()


@pytest.mark.parametrize("ms", [-300, 0, 200])
def test_few_frames_tell_the_offset(ms: int, frames_7s: list[Frame], speech_7s: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "MORE_SHARE", 0.0)
    found = measured(frames_7s, moved(speech_7s.samples, ms))
    assert found.offset_ms == pytest.approx(ms, abs=30)
    assert found.confidence is not None
    assert found.confidence > 0.55
    codes = [known[0] for known in map(read_notice, found.warnings) if known is not None]
    assert codes == ([] if ms == 0 else ["sync_late" if ms > 0 else "sync_early"])


def test_the_sound_of_somebody_else_is_told(frames_7s: list[Frame], other_speech: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    """By luck sixteen frames may fit once in 20 times."""
    monkeypatch.setattr(meter, "MORE_SHARE", 0.0)
    told = []
    for ms in range(0, 2500, 500):
        found = measured(frames_7s, moved(other_speech.samples, ms))
        known = read_notice(found.warnings[0]) if found.warnings else None
        if known is not None and known[0] == "sync_unlike":
            told.append(ms)
            assert found.offset_ms is None
            assert float(known[1]["confidence"]) == pytest.approx(found.confidence, abs=0.006)
            assert float(known[1]["confidence"]) < float(known[1]["least"])
    assert len(told) >= 4


def test_lips_that_do_not_move_are_told(frames_7s: list[Frame], speech_7s: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "MORE_SHARE", 0.0)
    rng = np.random.default_rng(0)
    still = [np.clip(frames_7s[0] + rng.integers(-4, 5, frames_7s[0].shape), 0, 255).astype(np.uint8) for _ in frames_7s]
    known = read_notice(measured(still, speech_7s.samples).warnings[0])
    assert known is not None
    assert known[0] == "sync_still"


@pytest.mark.parametrize("sound", ["silence", "second"])
def test_little_speech_is_not_measured(sound: str, frames: list[Frame], speech: Audio) -> None:
    samples = np.zeros(48_000, np.float32)
    if sound == "second":
        samples[:16_000] = speech.samples[:16_000]
    assert measured(frames, samples) == NOT_MEASURED


def test_a_failure_costs_no_video(
    frames: list[Frame], speech: Audio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: MouthWatcher, pixels: Frame, box: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(MouthWatcher, "look", fail)
    assert measured(frames, speech.samples) == NOT_MEASURED
    assert "could not be compared" in caplog.text


def test_nobody_waits_for_long(frames: list[Frame], speech: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def wait(self: MouthWatcher, pixels: Frame, box: object) -> None:
        go_on.wait(60)

    monkeypatch.setattr(MouthWatcher, "look", wait)
    monkeypatch.setattr(meter, "WAIT_S", 0.05)
    try:
        assert measured(frames, speech.samples) == NOT_MEASURED
    finally:
        go_on.set()


def test_a_video_that_is_given_up_ends_the_looking(frames: list[Frame], speech: Audio) -> None:
    each, before = SyncMeter(speech.samples, FPS), set(threading.enumerate())

    def make_video() -> None:
        with each:
            for index, frame in enumerate(frames):
                each.offer(index, frame)
            raise KeyError

    with pytest.raises(KeyError):
        make_video()
    assert each.sync() == NOT_MEASURED
    assert "sync-meter" not in {thread.name for thread in set(threading.enumerate()) - before}


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0, 30000 / 1001, 50.0, 60.0])
def test_frames_of_any_rate_lie_on_rows(fps: float, other_speech: Audio) -> None:
    first, wanted, more = plan(other_speech.samples, fps)
    assert len(wanted) == LOOKS
    assert not set(wanted) & set(more)
    for index, row in (wanted | more).items():
        assert first <= row < first + PART_ROWS
        assert (index + 0.5) / fps == pytest.approx((row + 0.5) / 25, abs=0.0101)


def test_what_a_rate_leaves_between_frames_and_rows_is_allowed_for(
    frames_7s: list[Frame], speech_7s: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 50 frames a second the middle of each is 10 ms beside that of a row: here each picture is shown in two frames."""
    monkeypatch.setattr(meter, "MORE_SHARE", 0.0)
    with SyncMeter(speech_7s.samples, 50) as each:
        for index in range(2 * len(frames_7s)):
            each.offer(index, frames_7s[index // 2])
    first = plan(speech_7s.samples, 50)[1]
    side_ms = np.mean([1000 * ((index + 0.5) / 50 - (row + 0.5) / 25) for index, row in first.items()])
    assert abs(side_ms) == pytest.approx(10)
    assert each.sync().offset_ms == pytest.approx(side_ms, abs=25)


def test_what_is_looked_at_is_where_most_is_said(speech: Audio) -> None:
    samples = np.concatenate((np.zeros(30 * SAMPLE_RATE_HZ, np.float32), speech.samples, speech.samples, np.zeros(160_000, np.float32)))
    first, wanted, _ = plan(samples, 25)
    assert 750 - PART_ROWS < first <= 750
    assert all(745 <= row <= 750 + 150 for row in wanted.values())


def test_the_info_of_a_video_has_it_and_that_of_a_stream_has_not(
    studio: Studio, portrait: Photo, speech: Audio, settings: Settings
) -> None:
    request = Request(speech, portrait, engine="lite")
    info = studio.generate(request, settings.output_dir / "synced.mp4").info
    assert info.sync_offset_ms == pytest.approx(0, abs=25)
    assert info.sync_confidence is not None
    assert info.sync_confidence > 0.55
    assert info.warnings == ()
    assert GenerationInfo.from_dict(info.to_dict()) == info
    stream = studio.stream(request)
    assert b"".join(segment.data for segment in stream)
    told = stream.job.result()
    assert (told.sync_offset_ms, told.sync_confidence) == (None, None)
