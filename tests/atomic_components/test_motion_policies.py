"""Shorter delay and shorter context of Ditto's live motion: what windows see, what is handed out when, and how windows are joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.atomic_components.motion_options import Audio2MotionOptions
from core.atomic_components.pose import SourceMotion
from core.errors import OptionError
from tests.support.ditto_motion import Sampled, a2m_of, carry_index, dream, indexed, spoken

LIVE: dict[str, Any] = {"online_mode": True, "overlap_v2": 75, "sampling_timesteps": 1, "smo_k_d": 3}
POLICIES = [{}, {"emit_tail": True}, {"context_frames": 10}, {"context_frames": 10, "emit_tail": True}, {"context_frames": 1}]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("n", [1, 4, 5, 6, 83])
@pytest.mark.parametrize("size", [1, 5, 83])
def test_one_row_for_every_feature_however_they_come(photo: SourceMotion, policy: dict[str, Any], n: int, size: int) -> None:
    def rows(size: int | None) -> np.ndarray:
        return spoken(a2m_of(Sampled(dream(3)), photo, **LIVE, **policy), indexed(0, n), size)

    assert rows(size).shape == (n, 265)
    assert np.array_equal(rows(size), rows(None))


@pytest.mark.parametrize("policy", POLICIES)
def test_rows_belong_to_their_frames(photo: SourceMotion, policy: dict[str, Any]) -> None:
    """A model that says which frame it was told of says it of each frame in turn."""
    made = spoken(a2m_of(Sampled(carry_index), photo, **{**LIVE, "overlap_v2": 75, "smo_k_d": 1}, **policy), indexed(0, 60), 7)
    assert np.allclose(made[:, 202], np.arange(60), atol=1e-4)


def test_a_short_context_is_all_that_a_window_sees_of_the_past(photo: SourceMotion) -> None:
    seen: list[np.ndarray] = []

    def watch(i: int, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray) -> np.ndarray:
        seen.append(cond[0, :, 0].copy())
        return carry_index(i, cond_frame, cond, x_t)

    stage = a2m_of(Sampled(watch), photo, **LIVE, context_frames=10)
    list(stage.push(indexed(0, 10)))
    first, second = seen
    assert first[:15].tolist() == list(range(-10, 5))
    assert second[:15].tolist() == list(range(-5, 10))
    assert (second[15:] == 9).all()  # 65 frames that are generated from the last sound, and dropped


def test_the_whole_overlap_as_context_is_the_usual_policy(photo: SourceMotion) -> None:
    usual, same = (spoken(a2m_of(Sampled(dream(5)), photo, **LIVE, context_frames=n), indexed(0, 40)) for n in (0, 75))
    assert np.array_equal(usual, same)


def test_a_tail_is_emitted_when_its_window_is_made(photo: SourceMotion) -> None:
    counts = {}
    for tail in (False, True):
        stage = a2m_of(Sampled(dream(1)), photo, **LIVE, emit_tail=tail)
        counts[tail] = [len(list(stage.push(indexed(i, 5)))) for i in (0, 5, 10)]
    assert counts == {False: [0, 5, 5], True: [5, 5, 5]}


def test_windows_that_disagree_are_joined_without_a_jump(photo: SourceMotion) -> None:
    """Each window is off by its number: at the join nearly all of that is taken back, five frames later nearly none."""

    def off(i: int, cond_frame: np.ndarray, cond: np.ndarray, x_t: np.ndarray) -> np.ndarray:
        return np.full((1, 80, 265), float(i), np.float32)

    made = spoken(a2m_of(Sampled(off), photo, **{**LIVE, "smo_k_d": 1}, emit_tail=True), indexed(0, 10), 5)[:, 202]
    assert made[:5].tolist() == [0] * 5
    assert np.allclose(np.diff(made[4:]), 1 / 6, atol=1e-5)


def test_nothing_is_computed_at_the_end_where_all_was_emitted(photo: SourceMotion) -> None:
    sampled = Sampled(carry_index)
    stage = a2m_of(sampled, photo, **LIVE, emit_tail=True)
    list(stage.push(indexed(0, 10)))
    before = len(sampled.cond_frames)
    assert list(stage.flush()) == []
    assert len(sampled.cond_frames) == before == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"context_frames": 76}, "context_frames is 76. It must not be more than overlap_v2, 75"),
        ({"context_frames": -1}, "context_frames is -1"),
        ({"emit_tail": 1}, "emit_tail is 1"),
        ({"online_mode": False, "emit_tail": True}, "emit_tail is for speech that comes in"),
        ({"online_mode": False, "context_frames": 10}, "context_frames is for speech that comes in"),
    ],
)
def test_what_has_no_meaning_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Audio2MotionOptions(**{**LIVE, **wrong})
