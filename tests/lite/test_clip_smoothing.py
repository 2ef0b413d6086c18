"""Smoothing of the face mesh: what is still stands still, what moves is neither late nor smaller."""

from __future__ import annotations

import numpy as np
import pytest

from core.lite.clip_smoothing import adaptively_smoothed, smoothed

NOISE = 0.1
FRAMES = 100


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(3).normal(0, NOISE, (FRAMES, 40))


def test_what_is_still_stands_still(noise: np.ndarray) -> None:
    found = adaptively_smoothed(noise, 0.2)
    assert found.std() < 0.45 * NOISE
    assert np.abs(np.diff(found, axis=0)).mean() < 0.25 * np.abs(np.diff(noise, axis=0)).mean()


@pytest.mark.parametrize("hz", [0.5, 1, 2, 4])
def test_what_moves_is_neither_late_nor_smaller(noise: np.ndarray, hz: float) -> None:
    phase = 2 * np.pi * hz * np.arange(FRAMES)[:, None] / 25 + np.arange(40)
    motion = 8 * np.sin(phase)
    found = adaptively_smoothed(motion + noise, 0.2)
    error = found - motion
    speed = np.gradient(motion, axis=0)
    assert abs((error * speed).sum() / (speed**2).sum()) < 0.01  # frames
    assert (found * motion).sum() / (motion**2).sum() == pytest.approx(1, abs=0.04)
    assert np.sqrt((error**2).mean()) < 0.04 * 8


def test_a_blink_and_a_step_stay(noise: np.ndarray) -> None:
    motion = np.zeros((FRAMES, 40))
    motion[30:33] = [[-3], [-6], [-3]]
    motion[60:] = 5
    found = adaptively_smoothed(motion + noise, 0.2)
    assert found[31].mean() == pytest.approx(-6, abs=0.3)
    assert found[59].mean() == pytest.approx(0, abs=0.3)
    assert found[60].mean() == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize("moves", [0.0, 1.0])
def test_a_mesh_keeps_its_motion_and_loses_its_noise(moves: float) -> None:
    rng = np.random.default_rng(1)
    face = rng.uniform(-60, 60, (478, 3))
    face[33], face[263] = (-40, -20, 0), (40, -20, 0)
    times = moves * np.arange(80)
    turn = (1 + 0.1 * np.sin(times / 7)) * np.exp(0.2j * np.sin(times / 5))
    plane = (face[:, 0] + 1j * face[:, 1])[None] * turn[:, None] + (200 + 30j) + 40 * np.sin(times / 4)[:, None]
    truth = np.stack([plane.real, plane.imag, np.broadcast_to(face[:, 2], plane.shape) * np.abs(turn)[:, None]], axis=-1)
    noisy = (truth + rng.normal(0, NOISE, truth.shape)).astype(np.float32)
    found = smoothed(noisy, [(0, 80)])
    assert found.dtype == np.float32
    assert np.sqrt(((found - truth)[..., :2] ** 2).mean()) < (1.0 if moves else 0.45) * NOISE
    assert np.abs((found - truth)[..., :2].mean(axis=1)).max() < 0.3


@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_short_runs_and_what_is_outside_of_runs(n: int) -> None:
    points = np.random.default_rng(0).uniform(0, 100, (n + 2, 478, 3)).astype(np.float32)
    found = smoothed(points, [(1, n + 1)])
    np.testing.assert_array_equal(found[[0, -1]], points[[0, -1]])
    assert np.isfinite(found).all()
