"""Moves keypoints from one motion to the next over a few frames, without a jump."""

from __future__ import annotations

import numpy as np

from core.atomic_components.pose import Array

TRANSITION_FRAMES = 10
"""Frames after a change that still lean towards the frame shown before it: 0.4 s, as long as a person takes to turn to somebody."""


class Transition:
    """The difference to the last frame, faded out with no step in value or speed at its end. Idle until `start`."""

    def __init__(self) -> None:
        self._from: Array | None = None
        self._offset: Array | None = None
        self._done = 0

    def start(self, shown: Array | None) -> None:
        """shown: keypoints of the frame on the screen, any shape; None: nothing was shown yet, the next motion stays as it is."""
        self._from, self._offset, self._done = shown, None, 0

    def __call__(self, points: Array) -> Array:
        """The next frame's keypoints, moved towards the last frame shown."""
        if self._from is None:
            return points
        if self._offset is None:
            self._offset = self._from - points
        self._done += 1
        if self._done > TRANSITION_FRAMES:
            self._from = None
            return points
        t = self._done / (TRANSITION_FRAMES + 1)
        return points + self._offset * np.float32(1 - t * t * (3 - 2 * t))
