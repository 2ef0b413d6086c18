"""The expression of a face in one frame, and the one that speech asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.lite.calibration import Calibration
from core.lite.head_warp import HeadPose
from core.lite.mouth import APERTURE, SPREAD, TUCK
from core.request import Controls
from core.types import Samples

TONGUE_FROM, TONGUE_TO = (0.12, 0.25), (0.38, 0.5)
"""Apertures between which the tip of the tongue comes up, and above which it is down: lips that part so little in the middle of a word
mostly say th, t, d, n or l."""
TONGUE_SPREAD, TONGUE_NEAR = 0.1, 0.35
"""They do so neither rounded nor spread."""


@dataclass(frozen=True)
class Expression:
    """The expression of the face in one frame; mouth values as in core.lite.mouth, gaze -1..1 (viewer's right, down), blink 0..1,
    smile 0..1 (relaxed..as in the photo), press 0..1 (closed lips pressed together), tongue 0..1 (at rest..its tip at the upper teeth).
    """

    aperture: float = 0.0
    spread: float = 0.0
    tuck: float = 0.0
    smile: float = 1.0
    press: float = 0.0
    tongue: float = 0.0
    blink: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    pose: HeadPose = HeadPose()


def spoken(row: Samples, controls: Controls, calibration: Calibration) -> Expression:
    """The lips for one row of the mouth tracker; eyes and head at rest."""
    aperture, spread, tuck = (float(row[column]) for column in (APERTURE, SPREAD, TUCK))
    bounded = min(max(spread, -1.0), 1.0)
    return Expression(
        aperture=calibration.gap(min(max(aperture, 0.0), 1.25) * controls.mouth, bounded),
        spread=bounded,
        tuck=min(max(tuck, 0.0), 1.0),
        smile=controls.smile,
        tongue=tongue_raised(aperture, spread, tuck),
    )


def tongue_raised(aperture: float, spread: float, tuck: float) -> float:
    """How far the tip of the tongue is up, 0..1, as far as the lips tell: rows of the mouth do not say what it does."""
    (low, risen), (falling, down) = TONGUE_FROM, TONGUE_TO
    parted = float(np.interp(aperture, (low, risen, falling, down), (0.0, 1.0, 1.0, 0.0)))
    return parted * max(0.0, 1 - abs(spread - TONGUE_SPREAD) / TONGUE_NEAR) * (1 - min(tuck, 1.0))
