"""The image warp of the eyes, which closes the lids and turns the gaze.

Built like the mouth: upper lid, eyeball and lower lid are layers that meet at the lid lines. The eyeball stays where it is while the
lids move over it; the gaze shifts it inside the opening.
"""

from __future__ import annotations

import numpy as np

from core.lite.local_frame import Array, LocalFrame, look_up, points_of, smoothstep

EYES = {
    # corners (left, right for the viewer), upper lid, lower lid, brow (lower edge)
    "left": ((33, 133), (246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155), (46, 53, 52, 65, 55)),
    "right": ((362, 263), (398, 384, 385, 386, 387, 388, 466), (382, 381, 380, 374, 373, 390, 249), (285, 295, 282, 283, 276)),
}
LOWER_LID_SHARE = 0.12
"""Part of a blink that the lower lid makes."""
WET_EDGE = 0.17
"""Distance of the lower lid's skin from the mesh's line, over half the eye's width: between them is a wet edge, whose glint would outlast a
blink."""
LASH_ROOTS = 0.09
"""What of the lashes is seen on a closed lid, over half the eye's width: they point down then."""
GAZE_X_SHARE, GAZE_Y_SHARE = 0.13, 0.08
"""Shift of the iris at gaze 1, over the eye's width."""


class EyeWarp:
    """One eye of one portrait; points: (478, 3) mesh in output pixels."""

    def __init__(self, points: Array, side: str) -> None:
        corners, upper, lower, brow = EYES[side]
        left, right = points_of(points, corners)
        self.frame = frame = LocalFrame(left, right, reach_per_half=2.0)
        half = frame.half
        upper_line = frame.curve(frame.local(points_of(points, upper)))
        lower_line = frame.curve(frame.local(points_of(points, lower)))
        bow = np.clip(1 - (frame.x / half) ** 2, 0, 1).astype(np.float32)
        self.lower = np.maximum(upper_line, lower_line) + np.float32(WET_EDGE * half + 0.6) * bow
        self.upper = np.minimum(upper_line, lower_line) - np.float32(0.5) * bow
        self.roots_px = np.float32(LASH_ROOTS * half + 0.5)
        self.gap_px = float((self.lower - self.upper).max())
        brow_y = float(frame.local(points_of(points, brow))[:, 1].mean())
        top = float(self.upper.min())
        self._brow_y = min(0.85 * brow_y, top - 0.45 * half)  # the skin below the brow stretches, the brow stays
        self._cheek_y = float(self.lower.max()) + 0.7 * half
        self.inside = smoothstep((1 - np.abs(frame.x) / half) * 2.2)  # the eyeball's shift ends at the corners
        self.bounds = (-1.3 * half, self._brow_y, 1.3 * half, self._cheek_y)
        self.opening = (-half, float(self.upper.min()), half, float(self.lower.max()))
        """Where a gaze changes anything while the lids stay as they are."""

    def source(self, x: Array, y: Array, blink: float, gaze_x: float, gaze_y: float) -> tuple[Array, Array]:
        """Source (frame coordinates) of the pixels at (x, y); blink 0..1, gaze -1..1 (viewer's right and down positive)."""
        column = self.frame.index(x)
        closing = np.float32(blink) * (self.lower - self.upper)
        d_upper, d_lower = np.float32(1 - LOWER_LID_SHARE) * closing, np.float32(-LOWER_LID_SHARE) * closing
        upper, lower = look_up(self.upper + d_upper, column), look_up(self.lower + d_lower, column)
        y_src = y
        if blink:
            roots = upper - self.roots_px
            above = smoothstep((roots - y) / np.maximum(roots - np.float32(self._brow_y), 1.0))
            below = smoothstep((y - lower) / np.maximum(np.float32(self._cheek_y) - lower, 1.0))
            # the roots of the lashes move as they are; what is above them stretches
            from_above, from_below = y - look_up(d_upper, column) * (1 - above), y - look_up(d_lower, column) * (1 - below)
            y_src = np.where(y < upper, from_above, np.where(y > lower, from_below, y))
        if not (gaze_x or gaze_y):
            return x, y_src
        width = 2 * self.frame.half
        lens = np.minimum(y - upper, lower - y)  # 0 at the lids' edges, where the ball's shift ends, less beyond
        lens *= np.float32(6)
        lens /= np.maximum(lower - upper, 1)
        shift = smoothstep(lens)
        shift *= look_up(self.inside, column)
        return x - np.float32(GAZE_X_SHARE * width * gaze_x) * shift, y_src - np.float32(GAZE_Y_SHARE * width * gaze_y) * shift
