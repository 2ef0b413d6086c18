"""How the face goes from one state to the next between two frames: to new controls, and to closed lips where speech breaks off."""

from __future__ import annotations

import dataclasses

import numpy as np

from core.request import Controls
from core.types import Samples

CLOSING, CLOSED = np.float32(0.6), 0.02
"""Where speech breaks off with open lips, this much of the opening is left a frame later; what is less than CLOSED is nothing."""
EASE = 0.12
"""Share of the way from the old controls to new ones that is gone in a frame: half of it in a fifth of a second."""


def closing(row: Samples) -> Samples:
    """The mouth's row of the frame after `row` where nothing is said any more."""
    return np.where(np.abs(row) < CLOSED, np.float32(0), row * CLOSING)


def towards(shown: Controls, wanted: Controls) -> Controls:
    """One frame nearer. How often somebody blinks has no in-between."""
    if shown == wanted:
        return shown
    steps = {name: getattr(wanted, name) - getattr(shown, name) for name in ("head_motion", "mouth", "smile", "gaze_x", "gaze_y")}
    if max(map(abs, steps.values())) < 0.01:
        return wanted
    return dataclasses.replace(wanted, **{name: getattr(shown, name) + EASE * step for name, step in steps.items()})
