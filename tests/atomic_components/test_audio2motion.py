"""Rows of motion from windows of speech: one per frame, when promised, repeatable, without growing memory."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import numpy as np
import pytest

from core.atomic_components.audio2motion import Audio2Motion, seeded_noise
from core.atomic_components.condition_handler import ConditionHandler
from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.motion_stitch import MotionStitch
from core.atomic_components.pose import SourceMotion
from core.atomic_components.stitch_options import MotionStitchOptions
from core.atomic_components.wav2feat import Wav2Feat
from core.errors import OptionError, TalkingHeadError
from tests.support.ditto_motion import Sampled, a2m_of, carry_index, dream, features_of, indexed, mean_encoder, no_stitch, spoken


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("overlap", range(80))
def test_one_row_per_frame_for_every_overlap(overlap: int, online: bool, photo: SourceMotion) -> None:
    valid = 80 - overlap
    for n in sorted({0, 1, 3, valid - 1, valid, valid + 1, 80, 81, 160 + valid, 187}):
        for smoothing in (1, 3):
            if smoothing == 3 and n > 81:
                continue
            stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, smo_k_d=smoothing, overlap_v2=overlap, online_mode=online)
            rows = spoken(stage, indexed(0, n), 13)
            assert len(rows) == n
            assert n == 0 or np.abs(rows[:, 202] - np.arange(n)).max() < 1e-3


@pytest.mark.parametrize(
    "options", [dict(online_mode=online, whole=whole) for online, whole in ((False, True), (False, False), (True, True))]
)
def test_rows_come_when_promised(options: dict[str, bool], photo: SourceMotion) -> None:
    for overlap in range(80):
        for smoothing in (1, 3, 9) if overlap in (0, 10, 39, 40, 70, 75, 78, 79) else (3,):
            stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, smo_k_d=smoothing, overlap_v2=overlap, **options)
            came = [heard + 1 for heard in range(170) for _ in stage.push(indexed(heard, 1))]
            assert came == [stage._options.features_before(row) for row in range(len(came))], (overlap, smoothing)
            assert stage._options.features_before(len(came)) > 170
    assert Audio2MotionOptions(overlap_v2=70, online_mode=True).features_before(0) == 20
    assert Audio2MotionOptions(overlap_v2=75, online_mode=True).features_before(0) == 10


def test_even_smoothing_acts_as_the_next_odd_one(photo: SourceMotion) -> None:
    features = indexed(0, 100)

    def rows(k: int) -> np.ndarray:
        return spoken(a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), smo_k_d=k, sampling_timesteps=1), features)

    assert np.array_equal(rows(4), rows(5))
    assert np.array_equal(rows(0), rows(1))
    assert np.array_equal(rows(3)[:, 202:], rows(9)[:, 202:])  # the lips are never smoothed
    assert not np.array_equal(rows(3), rows(9))


def test_noise_is_fresh_for_a_window_and_kept_for_the_steps(photo: SourceMotion) -> None:
    def sampled(seed: int) -> Sampled:
        model = Sampled(dream(0))
        stage = a2m_of(model, photo, noise=seeded_noise(seed), sampling_timesteps=4)
        spoken(stage, indexed(0, 150))
        spoken(stage, indexed(0, 20))  # a second utterance of the same session
        return model

    first, again, other = sampled(5), sampled(5), sampled(6)
    starts = [x_t for x_t, _ in first.noises]
    assert len(starts) == 4
    assert first.noises[0][1].shape == (3, 1, 80, 265)
    assert all(np.array_equal(steps, first.noises[0][1]) for _, steps in first.noises)
    assert all(not np.array_equal(a, b) for i, a in enumerate(starts) for b in starts[:i])
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first.noises, again.noises, strict=True))
    assert not np.array_equal(first.noises[0][0], other.noises[0][0])


def test_nothing_draws_from_a_global_generator(photo: SourceMotion) -> None:
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - what must stay untouched
    stage = a2m_of(Sampled(dream(0)), photo, noise=seeded_noise(3), sampling_timesteps=2)
    stitch = MotionStitch(photo, no_stitch, MotionStitchOptions(delta_eye_arr=np.ones((3, 63))), seed=3)
    for row in spoken(stage, indexed(0, 20)):
        stitch.step(row)
    assert random.getstate() == state
    after = np.random.get_state()  # noqa: NPY002
    assert str(after) == str(numpy_state)


@pytest.mark.parametrize("online", [False, True])
def test_rows_of_hours_hold_no_memory(online: bool, photo: SourceMotion) -> None:
    stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, overlap_v2=40, online_mode=online)
    model = stage._sample
    quarter = indexed(0, 250)  # ten seconds
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(60):  # ten minutes
            for _ in stage.push(quarter):
                pass
            model.cond_frames.clear()
            model.noises.clear()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(sizes[10:]) - min(sizes[:10]) < 400_000
    assert len(stage._rows) <= 2 * 80 + 80
    assert stage._waiting < 80


def test_half_read_iterators_lose_nothing(photo: SourceMotion) -> None:
    features = np.random.default_rng(1).standard_normal((400, 1024)).astype(np.float32)

    def stage() -> Audio2Motion:
        return a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), sampling_timesteps=1, overlap_v2=30)

    want = spoken(stage(), features)
    lazy, got = stage(), []
    for i in range(0, 400, 100):
        made = lazy.push(features[i : i + 100])
        got += [row for _, row in zip(range(5), made, strict=False)]
    got += [*lazy.flush()]
    assert np.array_equal(np.stack(got), want)


def test_rows_and_features_belong_to_who_holds_them(photo: SourceMotion) -> None:
    """Rows may be written to, buffers of samples and features reused, even before the iterators are read."""
    features = np.random.default_rng(1).standard_normal((300, 1024)).astype(np.float32)
    options: dict[str, Any] = dict(sampling_timesteps=1, overlap_v2=70, online_mode=True)
    want = spoken(a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), **options), features)
    stage, got = a2m_of(Sampled(dream(1)), photo, noise=seeded_noise(1), **options), []
    buffer = np.empty((100, 1024), np.float32)
    for i in range(0, 300, 100):
        buffer[:] = features[i : i + 100]
        made = stage.push(buffer)
        buffer[:] = 0
        for row in made:
            got.append(row.copy())
            row[:] = 99
    got += [*stage.flush()]
    assert np.array_equal(np.stack(got), want)

    samples = np.full(16000, 0.25, np.float32)
    hear = Wav2Feat(mean_encoder)
    heard = hear.push(samples)
    samples[:] = 0
    assert np.array_equal(np.concatenate([*heard, *hear.flush()]), features_of(mean_encoder, np.full(16000, 0.25, np.float32)))


def test_a_long_push_is_let_go(photo: SourceMotion) -> None:
    stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1)
    for _ in stage.push(indexed(0, 5000)):
        pass
    assert all(piece.base is None for piece in stage._pieces)


def test_an_utterance_can_be_forgotten(photo: SourceMotion) -> None:
    fresh = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, overlap_v2=70, online_mode=True)
    want = spoken(fresh, indexed(0, 33))
    stage = a2m_of(Sampled(carry_index), photo, sampling_timesteps=1, overlap_v2=70, online_mode=True)
    [*stage.push(indexed(500, 57))]
    stage.reset()
    assert stage.reference is None
    assert np.array_equal(spoken(stage, indexed(0, 33)), want)
    assert np.array_equal(spoken(stage, indexed(0, 33)), want)  # and flush has started a new one


def test_a_later_utterance_goes_on_with_the_eyes_of_the_video(video: SourceMotion) -> None:
    handler, firsts = ConditionHandler(video), []

    def condition(features: np.ndarray, first: int) -> np.ndarray:
        firsts.append(first)
        return handler(features, first)

    stage = a2m_of(Sampled(carry_index), video, condition, sampling_timesteps=1)
    spoken(stage, indexed(0, 30))
    spoken(stage, indexed(0, 30))
    assert firsts == [0, 30]


@pytest.mark.parametrize("wrong", [np.zeros((1, 79, 265), np.float32), np.full((1, 80, 265), np.nan, np.float32)])
def test_a_broken_model_is_reported(wrong: np.ndarray, photo: SourceMotion) -> None:
    stage = a2m_of(Sampled(lambda *_: wrong), photo, sampling_timesteps=1)
    with pytest.raises(TalkingHeadError, match="motion model"):
        spoken(stage, indexed(0, 3))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("overlap_v2", 80, "from 0 to 79"),
        ("overlap_v2", -1, "from 0 to 79"),
        ("overlap_v2", 10.5, "from 0 to 79"),
        ("overlap_v2", True, "from 0 to 79"),
        ("sampling_timesteps", 0, "from 1 to 1000"),
        ("sampling_timesteps", 1001, "from 1 to 1000"),
        ("smo_k_d", -3, "from 0 to 80"),
        ("smo_k_d", "3", "from 0 to 80"),
        ("fix_kp_cond", -1, "from 0"),
        ("fix_kp_cond_dim", (10, 5), "start <= end"),
        ("fix_kp_cond_dim", (0, 266), "start <= end"),
        ("fix_kp_cond_dim", 5, "start <= end"),
        ("fix_kp_cond_dim", (None, 5), "start <= end"),
        ("v_min_max_for_clip", np.zeros((1, 265)), "265"),
        ("v_min_max_for_clip", np.zeros((2, 264)), "265"),
        ("v_min_max_for_clip", np.stack([np.ones(265), np.zeros(265)]), "above row 1"),
        ("v_min_max_for_clip", "no", "265"),
        ("online_mode", 1, "True or False"),
    ],
)
def test_motion_options_are_checked(name: str, value: Any, says: str) -> None:
    with pytest.raises(OptionError, match=name) as caught:
        Audio2MotionOptions(**{name: value})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        dict(overlap_v2=20),
        dict(online_mode=True),
        dict(sampling_timesteps=3),
        dict(smo_k_d=7),
        dict(fix_kp_cond=1),
        dict(fix_kp_cond=1, fix_kp_cond_dim=(0, 202)),
        dict(v_min_max_for_clip=np.stack([np.full(265, -0.2), np.full(265, 0.2)])),
        dict(whole=False),
    ],
)
def test_every_motion_option_shows(change: dict[str, Any], photo: SourceMotion) -> None:
    features = np.random.default_rng(2).standard_normal((150, 1024)).astype(np.float32)

    def rows(options: dict[str, Any]) -> np.ndarray:
        stage = a2m_of(Sampled(dream(2)), photo, noise=seeded_noise(2), **{"sampling_timesteps": 2, **options})
        return spoken(stage, features)

    assert not np.array_equal(rows({}), rows(change))
    if "fix_kp_cond_dim" in change:
        assert not np.array_equal(rows(change), rows({"fix_kp_cond": 1}))
