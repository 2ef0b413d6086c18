"""Blinks, gaze and sway: calm, irregular, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from core.lite.motion import LifeMotion
from core.request import Controls
from core.types import FPS


def frames(controls: Controls, seed: int, seconds: float, loudness: float = 0.5) -> list[tuple[float, ...]]:
    motion = LifeMotion(controls, seed)
    lives = [motion.step(loudness) for _ in range(int(seconds * FPS))]
    return [(life.blink, life.gaze_x, life.gaze_y, life.pose.yaw, life.pose.pitch, life.pose.roll, life.pose.shift_y) for life in lives]


def blinks_of(values: np.ndarray) -> list[tuple[int, int]]:
    closed = np.concatenate([[0], values > 0, [0]])
    edges = np.flatnonzero(np.diff(closed))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def test_same_seed_same_life_other_seed_another() -> None:
    assert frames(Controls(), 7, 20) == frames(Controls(), 7, 20)
    assert frames(Controls(), 7, 20) != frames(Controls(), 8, 20)


def test_blinks_are_irregular_and_last_120_to_200_ms() -> None:
    blink = np.array(frames(Controls(), 1, 240))[:, 0]
    found = blinks_of(blink)
    lengths_ms = {(end - start) * 40 for start, end in found}
    assert lengths_ms <= {120, 160, 200}
    gaps_s = np.diff([start for start, _ in found]) / FPS
    assert 2.0 < np.mean(gaps_s) < 6.0
    assert np.std(gaps_s) > 0.5
    assert all(blink[start:end].max() == 1.0 for start, end in found)


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0.0), (3.0, 2.0)])
def test_blink_control(value: float, expected: float) -> None:
    count = len(blinks_of(np.array(frames(Controls(blink=value), 1, 120))[:, 0]))
    normal = len(blinks_of(np.array(frames(Controls(), 1, 120))[:, 0]))
    assert (count == 0) if expected == 0 else count > 1.5 * normal


def test_head_motion_control() -> None:
    still, normal, lively = (np.array(frames(Controls(head_motion=amount), 3, 60))[:, 3:6] for amount in (0.0, 1.0, 2.0))
    assert np.abs(still).max() == 0
    assert lively.std() > 1.5 * normal.std() > 0.1


def test_head_moves_smoothly_and_little() -> None:
    pose = np.array(frames(Controls(), 5, 300))[:, 3:6]
    assert np.abs(pose).max() < 8
    assert np.abs(np.diff(pose, axis=0)).max() < 0.5
    assert np.abs(pose[0]).max() < 0.2  # it starts from the photo's own pose


def test_gaze_control_moves_the_eyes() -> None:
    left, right = (np.array(frames(Controls(gaze_x=x), 5, 60))[:, 1].mean() for x in (-0.8, 0.8))
    assert right - left > 1.0


def test_the_head_follows_a_glance() -> None:
    """The gaze is there first: what the head does resembles best what the eyes did some frames before."""
    motion = LifeMotion(Controls(), 11)
    gaze, turned = [], []
    for _ in range(120 * FPS):
        motion.step(0.0)
        gaze.append(motion._gaze[0])
        turned.append(motion._following[1, 0])
    likeness = [np.corrcoef(gaze[: len(gaze) - lag], turned[lag:])[0, 1] for lag in range(20)]
    assert 3 <= int(np.argmax(likeness)) <= 15  # 0.1 to 0.6 s
    assert max(likeness) > 0.7
    assert np.std(turned) > 0.3


def test_a_breath_is_taken_in_a_pause() -> None:
    motion = LifeMotion(Controls(), 3)
    breath = []
    for loudness in [0.5] * 100 + [0.0] * 20 + [0.5] * 100:
        motion.step(loudness)
        breath.append(motion._lungs[1])
    assert breath[99] < -0.4
    assert max(breath[100:124]) > 0.5
    assert breath[-1] < 0.0
    assert np.abs(np.diff(breath)).max() < 0.2


def test_an_accent_nods_and_lifts_the_brows() -> None:
    poses = []
    for accent in (0.4, 1.0):
        motion = LifeMotion(Controls(), 4)
        lives = [motion.step(accent if 50 <= frame < 55 else 0.4) for frame in range(70)]
        poses.append([(life.pose.pitch, life.pose.brow) for life in lives])
    even, stressed = np.array(poses)
    assert (stressed - even)[50:62, 0].max() > 0.3
    assert (stressed - even)[50:62, 1].max() > 0.002
    np.testing.assert_array_equal(even[:50], stressed[:50])


def test_a_voice_that_rises_nods_and_lifts_the_brows_more_than_a_loud_one() -> None:
    poses = []
    for loudness, rise in ((0.4, 0.0), (0.4, 1.0), (1.0, 0.0), (1.0, 1.0)):
        motion = LifeMotion(Controls(), 4)
        lives = [motion.step(loudness, rise) if 50 <= frame < 55 else motion.step(0.4) for frame in range(70)]
        poses.append([(life.pose.pitch, life.pose.brow) for life in lives])
    even, high, loud, both = np.array(poses)
    nods, brows = (np.array([(poses - even)[50:62, column].max() for poses in (high, loud, both)]) for column in (0, 1))
    assert 0.2 < nods[0] < nods[1] < nods[2]
    assert 0.003 < brows[0] < brows[2]
    assert brows[0] > 0.7 * brows[1]


def test_a_rise_without_a_voice_is_none() -> None:
    quiet, noise = LifeMotion(Controls(), 4), LifeMotion(Controls(), 4)
    assert [quiet.step(0.0) for _ in range(50)] == [noise.step(0.0, 1.0) for _ in range(50)]


@pytest.mark.parametrize("seed", [1, 5, 1234])
def test_a_minute_never_repeats(seed: int) -> None:
    pose = np.array(frames(Controls(), seed, 60))[:, 3:6]
    pose = (pose - pose.mean(axis=0)) / pose.std(axis=0)
    for lag in range(2 * FPS, 40 * FPS):
        assert (pose[lag:] * pose[:-lag]).mean() < 0.7


def test_a_silent_face_does_not_tremble() -> None:
    """A movement between two frames goes on in the next: what is left is less than 0.1 pixels of a face of 300."""
    motion = LifeMotion(Controls(), 9)
    poses = [motion.step(0.0).pose for _ in range(60 * FPS)]
    values = np.array([[pose.yaw, pose.pitch, pose.roll, pose.shift_x, pose.shift_y] for pose in poses])
    degree = np.pi / 180
    per_unit = 300 * np.array([0.62 * degree, 0.9 * degree, 0.75 * degree, 1.0, 1.0])  # as `HeadWarp` moves the middle of a face
    assert np.abs(np.diff(values * per_unit, n=2, axis=0)).max() < 0.1
