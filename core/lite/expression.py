"""The expression of a face in one frame, and the one that speech asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.lite.calibration import Calibration
from core.lite.head_warp import HeadPose
from core.lite.mouth import APERTURE, SPREAD, TUCK
from core.types import Controls, Samples


@dataclass(frozen=True)
class Expression:
    """The expression of the face in one frame; mouth values as in core.lite.mouth, gaze -1..1 (viewer's right, down), blink 0..1,
    smile 0..1 (relaxed..as in the photo), press 0..1 (closed lips pressed together).
    """

    aperture: float = 0.0
    spread: float = 0.0
    tuck: float = 0.0
    smile: float = 1.0
    press: float = 0.0
    blink: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    pose: HeadPose = HeadPose()


def spoken(row: Samples, controls: Controls, calibration: Calibration) -> Expression:
    """The lips for one row of the mouth tracker; eyes and head at rest."""
    return Expression(
        aperture=calibration.gap(float(np.clip(row[APERTURE], 0, 1.25)) * controls.mouth),
        spread=float(np.clip(row[SPREAD], -1, 1)),
        tuck=float(np.clip(row[TUCK], 0, 1)),
        smile=controls.smile,
    )
