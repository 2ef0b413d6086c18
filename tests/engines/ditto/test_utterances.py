"""Listening, interrupting and new controls: the head moves on without a jump."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from core.atomic_components import transition
from core.atomic_components.motion_stitch import StitchedFrame
from core.engines.ditto import DittoEngine, DittoRegistered
from core.options import read_options
from tests.support.ditto_sessions import same, session, sound, spoken


def test_listening_and_interrupting(engine: DittoEngine, registered: DittoRegistered) -> None:
    samples = sound(640 * 4)
    made = session(engine, registered)
    first = list(made.idle(3))
    assert len(first) == 3
    assert same(first, list(session(engine, registered).idle(3)))
    list(made.push(samples))
    with pytest.raises(RuntimeError, match="between utterances"):
        made.idle(1)
    made.interrupt()
    assert list(made.flush()) == []
    assert len(spoken(made, samples)) == 4
    assert len(list(made.idle(2))) == 2


def test_every_utterance_has_its_own_frames(engine: DittoEngine, registered: DittoRegistered) -> None:
    made = session(engine, registered)
    assert [len(spoken(made, sound(n))) for n in (640 * 3, 1, 641)] == [3, 1, 2]


@pytest.mark.parametrize("values", [{}, {"online_mode": True, "overlap_v2": 70}])
def test_the_head_moves_smoothly_from_one_motion_to_the_next(
    engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame], values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each utterance begins at the source's pose, as published. Shown after another it would jump there from wherever the head was."""

    def shown(n_frames: int) -> tuple[np.ndarray, list[int]]:
        """Driven keypoints of a talk with pauses, and where something new begins in it."""
        monkeypatch.setattr(transition, "TRANSITION_FRAMES", n_frames)
        drawn.clear()
        made, begins = session(engine, registered, **values), []
        for kind, n in (("idle", 13), ("talk", 30), ("talk", 17), ("idle", 14), ("idle", 5), ("cut", 14), ("talk", 20)):
            begins.append(len(drawn))
            if kind == "idle":
                list(made.idle(n))
            elif kind == "talk":
                spoken(made, sound(640 * n))
            else:  # interrupted after its frames, with more of it heard
                reader = made.flush() if list(made.push(sound(640 * (n + 4)))) else made.flush()
                list(itertools.islice(reader, n))
                made.interrupt()
        assert len(drawn) == 113
        return np.concatenate([frame.kp_free for frame in drawn]), [begin for begin in begins[1:] if begin != 74]  # 74: a pause goes on

    plain, begins = shown(0)
    smooth, _ = shown(10)
    steps, plain_steps = (np.abs(np.diff(points, axis=0)).max(axis=(1, 2)) for points in (smooth, plain))
    for begin in begins:
        offset = np.abs(smooth[begin - 1] - plain[begin]).max()
        assert offset > 0.01  # there was something to move over
        assert steps[begin - 1] < 0.05 * offset
        along = slice(begin, begin + 10)
        assert (steps[along] <= plain_steps[along] + 0.15 * offset).all()
        following = min([*(b for b in begins if b > begin), 113])
        assert np.array_equal(smooth[begin + 10 : following], plain[begin + 10 : following])
    assert np.array_equal(smooth[: begins[0]], plain[: begins[0]])  # what comes first is as published
    assert np.array_equal(smooth[begins[1] - 1], plain[begins[1] - 1])


def test_new_controls_act_in_place_and_without_a_jump(engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame]) -> None:
    turned = read_options({"overall_ctrl_info": {"delta_yaw": 20}}).controls
    made = session(engine, registered)
    list(made.idle(15))
    reader = made.idle(40)
    next(reader)
    assert made.set_controls(turned)
    list(reader)
    assert [frame.frame for frame in drawn] == list(range(55))
    points = np.concatenate([frame.kp_free for frame in drawn])
    steps = np.abs(np.diff(points, axis=0)).max(axis=(1, 2))
    fresh = session(engine, registered, overall_ctrl_info={"delta_yaw": 20})
    drawn.clear()
    list(fresh.idle(39))
    there = np.concatenate([frame.kp_free for frame in drawn])
    assert np.abs(points[16] - there[0]).max() > 0.05  # it is a large turn
    assert steps[15] < 0.05 * np.abs(points[15] - there[0]).max()
    assert np.array_equal(points[16 + 10 :], there[10:])  # and then all is as in a session made so
    list(made.push(sound(640)))
    assert not made.set_controls(turned)  # not while it speaks
    made.interrupt()
    assert made.set_controls(turned)


def test_controls_by_frame_are_for_what_is_said(engine: DittoEngine, registered: DittoRegistered, drawn: list[StitchedFrame]) -> None:
    turned = session(engine, registered, ctrl_info={i: {"delta_yaw": 9} for i in range(20)})
    list(turned.idle(4))
    listening = np.concatenate([frame.kp_free for frame in drawn])
    drawn.clear()
    list(session(engine, registered).idle(4))
    assert np.array_equal(listening, np.concatenate([frame.kp_free for frame in drawn]))
