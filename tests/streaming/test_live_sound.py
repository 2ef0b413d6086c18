"""Sound fed to a live session: rates, chunks, what is refused, and what waits."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soxr

from core.errors import AudioError
from core.streaming import LiveOptions
from tests.support.live_stage import Stage, joined, rustle
from tests.support.streams import pictures, sound


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_any_rate_in_any_chunks_is_heard_and_sent_whole(rate_hz: int) -> None:
    stage = Stage()
    speech = rustle(1.03, rate_hz)
    data, at, rng = speech.tobytes(), 0, np.random.default_rng(rate_hz)
    while at < len(data):  # also in the middle of a sample
        n = int(rng.integers(1, 5001))
        assert stage.live.feed(data[at : at + n], rate_hz)
        at += n
    stage.live.end_of_utterance()
    stage.run(2.0)
    exact = speech.astype(np.float32) / 32768
    heard = np.concatenate(stage.session.heard)
    wanted = exact if rate_hz == 16_000 else soxr.resample(exact, rate_hz, 16_000, "HQ")
    assert len(heard) == len(wanted)
    np.testing.assert_allclose(heard, wanted, atol=1e-4)
    assert len(stage.spoken) == -(-len(wanted) // 640) == 26
    sent = joined(stage.spoken)
    wanted = exact if rate_hz == 48_000 else soxr.resample(exact, rate_hz, 48_000, "HQ")
    np.testing.assert_allclose(sent[: len(wanted)], wanted, atol=1e-4)
    assert stage.live.stats()["filled"] == 0
    assert stage.events == ["ready", "speaking", "idle"]


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64, bytes])
def test_kinds_of_samples(kind: type) -> None:
    speech = rustle(0.4)
    chunk = speech.tobytes() if kind is bytes else speech if kind is np.int16 else (speech / 32768).astype(kind)
    stage = Stage()
    stage.live.feed(chunk, 16_000)
    stage.live.end_of_utterance()
    stage.run(1.0)
    np.testing.assert_allclose(np.concatenate(stage.session.heard), speech / 32768, atol=1e-6)


def test_the_rate_may_change_in_the_middle() -> None:
    stage = Stage()
    for rate_hz in (48_000, 16_000, 8_000):
        stage.live.feed(rustle(0.4, rate_hz), rate_hz)
    stage.live.end_of_utterance()
    stage.run(2.0)
    assert len(stage.spoken) == 30
    assert stage.events == ["ready", "speaking", "idle"]


def test_what_is_not_sound_is_refused() -> None:
    live = Stage().live
    for chunk, rate_hz, message in [
        (b"abcd", 4_000, "4000 samples a second"),
        (np.zeros((2, 100), np.int16), 16_000, "shape"),
        (np.zeros(100, np.int32), 16_000, "int32"),
        (np.zeros(61 * 16_000, np.int16), 16_000, "lasts 61.0 s"),
    ]:
        with pytest.raises(AudioError, match=message):
            live.feed(chunk, rate_hz)
    assert live.feed(np.full(100, np.nan, np.float32), 16_000)
    assert live.feed(b"", 16_000)


def test_sound_does_not_click_when_it_is_cut_off() -> None:
    stage = Stage()
    stage.live.feed(np.full(80_000, 0.5, np.float32), 16_000)
    stage.run(1.0)
    stage.live.interrupt()
    stage.run(0.5)
    heard = joined(stage.frames)
    assert heard.max() > 0.45
    assert heard[-2_000:].max() == 0
    end = np.flatnonzero(heard)[-1]
    assert np.abs(np.diff(heard[end - 500 :])).max() < 0.02


def test_sound_that_waits_is_bounded() -> None:
    stage = Stage(LiveOptions(output="frames", lead_s=0, max_buffer_s=2.0))
    second = rustle(1.0)
    assert stage.live.feed(second, 16_000)
    assert stage.live.feed(second, 16_000)
    assert not stage.live.feed(second, 16_000), "two seconds wait already"
    assert not stage.live.feed(second, 16_000, timeout_s=0.01)
    stage.run(1.2)
    assert stage.live.feed(second, 16_000)
    assert stage.live.stats()["buffered_s"] <= 2.0
    for _ in range(200):  # short utterances are bounded by their number
        stage.live.end_of_utterance()
        stage.live.feed(second[:1], 16_000)
    assert len(stage.live._utterances) <= 64


def test_whoever_waits_for_room_is_woken() -> None:
    stage = Stage(LiveOptions(output="frames", lead_s=0, max_buffer_s=1.0))
    second = rustle(1.0)
    stage.live.feed(second, 16_000)
    taken: list[bool] = []
    feeder = threading.Thread(target=lambda: taken.append(stage.live.feed(second[:8_000], 16_000, timeout_s=20)))
    feeder.start()
    stage.run(1.0)
    feeder.join(10)
    assert taken == [True]


def test_sound_faster_than_it_is_spoken_waits_and_nothing_drifts() -> None:
    """Four minutes in segments: as many frames as 40 ms of sound, to the sample."""
    stage = Stage(LiveOptions(lead_s=0, segment_frames=25, sound_rate_hz=16_000, stats_every_s=60))
    source = iter(np.array_split(rustle(240.0), 480))
    waiting = next(source)

    def each() -> None:
        nonlocal waiting
        while waiting is not None and stage.live.feed(waiting, 16_000):
            waiting = next(source, None)

    stage.run(241.0, each, step_s=0.5)
    assert stage.live.stats()["spoken"] == 6000
    decoded_s = len(pictures(stage.data)) / 25
    assert abs(sound(stage.data).shape[1] / 16_000 - decoded_s) <= 3 * 1024 / 16_000  # what the encoder still holds
    assert stage.renderer._video.n_samples == stage.renderer._video.n_frames * 640
    assert stage.events.count("stats") == 4
