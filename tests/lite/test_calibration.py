"""The calibration makes what is seen proportional to what is wanted, within bounds, and leaves closed lips closed."""

from __future__ import annotations

import numpy as np
import pytest

from core.lite.calibration import MAX_FACTOR, MIN_FACTOR, UPPER_LIP, calibrate
from core.lite.local_frame import Array
from core.types import Frame


def mesh_for(picture: Frame) -> Array:
    """A mesh whose lips are seen as far apart as the picture's only value says."""
    mesh = np.zeros((478, 3), np.float32)
    mesh[UPPER_LIP, 1] = picture[0, 0, 0]
    return mesh


def test_a_saturating_face_is_made_even() -> None:
    def seen(gap: float) -> float:
        return 200 * gap**0.7

    calibration = calibrate(lambda gap, spread: np.full((1, 1, 3), seen(gap), np.uint8), mesh_for)
    assert calibration.gap(0.0) == 0.0
    assert calibration.gap(1.0) == pytest.approx(1.0)
    for wanted in (0.4, 0.6, 0.8):
        assert seen(calibration.gap(wanted)) == pytest.approx(200 * wanted, rel=0.12)


@pytest.mark.parametrize("curve", [lambda gap: 0.0, lambda gap: 100 * (gap > 0.6), lambda gap: 200 * gap**4])
def test_odd_curves_stay_bounded_and_rising(curve: object) -> None:
    calibration = calibrate(lambda gap, spread: np.full((1, 1, 3), curve(gap), np.uint8), mesh_for)  # type: ignore[operator]
    wanted = np.linspace(0.1, 1.2, 40)
    gaps = np.array([calibration.gap(value) for value in wanted])
    assert (np.diff(gaps) >= 0).all()
    assert (gaps >= 0.9 * MIN_FACTOR * wanted).all()
    assert (gaps <= 1.1 * MAX_FACTOR * wanted).all()


def test_a_face_that_is_lost_corrects_nothing() -> None:
    calibration = calibrate(lambda gap, spread: np.zeros((1, 1, 3), np.uint8), lambda picture: None)
    assert [calibration.gap(value) for value in (0.0, 0.3, 1.0, 1.2)] == pytest.approx([0.0, 0.3, 1.0, 1.2])


def test_rounded_and_spread_lips_are_made_as_open_as_neutral_ones() -> None:
    def seen(gap: float, spread: float) -> float:
        return min(200 * gap * (1 - 0.25 * spread) + 8 * (spread < 0), 255)  # pushed forward they look parted before they are

    calibration = calibrate(lambda gap, spread: np.full((1, 1, 3), seen(gap, spread), np.uint8), mesh_for)
    for spread in (-1.0, 1.0):
        assert calibration.gap(0.0, spread) == 0.0
        for wanted in (0.3, 0.5, 0.7):
            assert seen(calibration.gap(wanted, spread), spread) == pytest.approx(200 * wanted, rel=0.12)
    assert calibration.gap(0.5, -1.0) < calibration.gap(0.5, -0.5) < calibration.gap(0.5) < calibration.gap(0.5, 1.0)
