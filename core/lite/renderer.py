"""Draws one portrait at one size with any expression; everything that frames share is computed once.

A frame is one lookup into the photo: each output pixel goes back through the head's movement, then through the mouth's or an
eye's, to the place in the photo it shows. So the photo is resampled once, and stays sharp.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.aux_models.face_mesh import Face
from core.lite.closed_lid import ClosedLid
from core.lite.expression import Expression
from core.lite.eye_warp import EYES, EyeWarp
from core.lite.head_warp import HeadWarp
from core.lite.local_frame import Array, LocalFrame, move, to_local
from core.lite.mouth_interior import MouthInterior
from core.lite.mouth_painting import fill_mouth
from core.lite.mouth_warp import MouthShape, MouthWarp
from core.lite.painted_lid import PaintedLid
from core.optimization.resolution_optimization import Cut, cut_pixels
from core.types import Frame

BAND_PIXELS = 160_000
"""A frame is drawn in bands of so many pixels at most: 10 to 20 ms on one core of a small server, and their arrays stay in its caches."""
Background = Callable[[Frame, int, int, int, int], Frame]
"""A picture and left, top, right, bottom of the face in it, pixels -> the picture with another background."""
JAW_OPEN = 0.2
"""Blendshape from which on a gap between the lips is made by the jaw; below, as in a smile, in part by the lips."""
MAX_TEXTURE_PX = 1400
"""Small outputs draw from a photo twice as fine, up to this side: that halves the blur of resampling."""


class Renderer:
    """photo: (H, W, 3) uint8 RGB; cut: the part of it that is shown, at width x height output pixels. background: puts another one behind
    the person of a picture; face: left, top, right, bottom in it, pixels. Thread-safe after construction.
    """

    def __init__(self, photo: Frame, face: Face, cut: Cut, width: int, height: int, background: Background | None = None) -> None:
        self.width, self.height = width, height
        self._scale = 2 if 2 * max(width, height) <= MAX_TEXTURE_PX else 1
        self._texture = cut_pixels(photo, cut, width * self._scale, height * self._scale)
        if background is not None:
            shown = np.array([cut.x, cut.y, cut.x, cut.y]), self._scale * np.array([width / cut.width, height / cut.height] * 2)
            self._texture = background(self._texture, *((np.array(face.box) - shown[0]) * shown[1]).round().astype(int).tolist())
        self._still: Frame = (
            cv2.resize(self._texture, (width, height), interpolation=cv2.INTER_AREA) if self._scale > 1 else self._texture
        )
        to_output = np.array([width / cut.width, height / cut.height, width / cut.width], np.float32)
        points = ((face.points - np.array([cut.x, cut.y, 0], np.float32)) * to_output).astype(np.float32)
        x0, y0, x1, y1 = face.box
        fx, fy = float(to_output[0]), float(to_output[1])
        self.face_box = box = ((x0 - cut.x) * fx, (y0 - cut.y) * fy, (x1 - cut.x) * fx, (y1 - cut.y) * fy)
        turn = max(float(np.cos(np.radians(face.yaw_deg))), 0.5)
        eye_distance = (face.opening_unit_px or face.interocular_px / turn) * float(to_output[0])
        self.head = HeadWarp(points, box, width, height)
        smiling = (face.blendshapes.get("mouthSmileLeft", 0.0) + face.blendshapes.get("mouthSmileRight", 0.0)) / 2
        by_jaw = float(np.clip(face.blendshapes.get("jawOpen", 0.0) / JAW_OPEN, 0, 1))
        self.mouth = MouthWarp(points, eye_distance, by_jaw, smiling)
        self.eyes = [EyeWarp(points, side) for side in EYES] if face.eyes_seen else []
        self._by_hand = face.opening_unit_px is not None
        lid = PaintedLid if self._by_hand else ClosedLid
        self._lids = [lid(eye, self._still) for eye in self.eyes]
        self._eyes_open = 1 - max(face.blendshapes.get("eyeBlinkLeft", 0.0), face.blendshapes.get("eyeBlinkRight", 0.0))
        self._interior = MouthInterior(self.mouth, self._texture, float(self._scale), teeth=not self._by_hand)
        left, top, right, bottom = self.head.box
        self._grid_x, self._grid_y = np.meshgrid(
            np.arange(left, right, dtype=np.float32) + np.float32(0.5), np.arange(top, bottom, dtype=np.float32) + np.float32(0.5)
        )
        self._mouth_region = self._region(self.mouth.frame, self.mouth.bounds)
        self._eye_regions = [self._region(eye.frame, eye.bounds) for eye in self.eyes]
        n_bands = -(-(bottom - top) * (right - left) // BAND_PIXELS)
        edges = np.linspace(0, bottom - top, n_bands + 1).round().astype(int).tolist()
        self._bands = [slice(first, last) for first, last in zip(edges, edges[1:], strict=False)]

    @property
    def nbytes(self) -> int:
        parts: tuple[object, ...] = (self, self.head, self.mouth, self._interior, *self.eyes)
        arrays = {id(value): value for part in parts for value in vars(part).values() if isinstance(value, np.ndarray)}
        return sum(array.nbytes for array in arrays.values())

    def draw(self, expression: Expression, pause: Callable[[], None] = lambda: None) -> Frame:
        """The (height, width, 3) uint8 RGB picture of one expression. pause: called between two bands of a large one."""
        out: Frame = self._still.copy()
        displacement = self.head.displacement(expression.pose)
        shape = self.mouth.shape(expression.aperture, expression.spread, expression.tuck, expression.smile, expression.press)
        x0, y0, x1, _ = self.head.box
        for nth, band in enumerate(self._bands):
            if nth:
                pause()
            self._draw_band(out[y0 + band.start : y0 + band.stop, x0:x1], band, expression, shape, *displacement)
        return out

    def _draw_band(self, drawn: Frame, band: slice, expression: Expression, shape: MouthShape, dx: Array, dy: Array) -> None:
        """Some rows of the head's box, into `drawn`."""
        map_x, map_y = self._grid_x[band] - dx[band], self._grid_y[band] - dy[band]
        blink = expression.blink * self._eyes_open
        eyes: list[tuple[ClosedLid, tuple[slice, slice], tuple[Array, Array]]] = []
        for eye, lid, region in zip(self.eyes, self._lids, self._eye_regions, strict=True):
            rows, columns = part = _within(region, band)
            if rows.start < rows.stop:
                x, y = to_local(eye.frame, map_x[part], map_y[part])
                x_src, y_src = eye.source(x, y, 0.0 if self._by_hand else blink, expression.gaze_x, expression.gaze_y)
                move(eye.frame, map_x[part], map_y[part], x_src - x, y_src - y)
                eyes.append((lid, part, (x, y)))
        rows, columns = _within(self._mouth_region, band)
        x, y = to_local(self.mouth.frame, map_x[rows, columns], map_y[rows, columns])
        x_src, y_src, covered = self.mouth.source(shape, x, y)
        move(self.mouth.frame, map_x[rows, columns], map_y[rows, columns], x_src - x, y_src - y)

        for positions in (map_x, map_y):
            positions *= np.float32(self._scale)
            positions -= np.float32(0.5)
        cv2.remap(self._texture, map_x, map_y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT, dst=drawn)
        if blink:
            for lid, part, (x_lid, y_lid) in eyes:
                lid.paint(drawn[part], x_lid, y_lid, blink)
        fill_mouth(drawn[rows, columns], self.mouth, self._interior, shape, x_src, y, covered)

    def _region(self, frame: LocalFrame, bounds: tuple[float, float, float, float]) -> tuple[slice, slice]:
        """Rows and columns (of the head's box) that hold `bounds` (frame coordinates), with room for the head's movement."""
        bx0, by0, bx1, by1 = bounds
        corners = np.array([(bx0, by0), (bx1, by0), (bx0, by1), (bx1, by1)], np.float32)
        pixels = frame.origin + corners[:, :1] * frame.ex + corners[:, 1:] * frame.ey
        room = 0.25 * frame.half + 2
        x0, y0, x1, y1 = self.head.box
        low, high = pixels.min(axis=0) - room, pixels.max(axis=0) + room
        rows = slice(int(np.clip(low[1], y0, y1 - 1)) - y0, int(np.clip(np.ceil(high[1]), y0 + 1, y1)) - y0)
        columns = slice(int(np.clip(low[0], x0, x1 - 1)) - x0, int(np.clip(np.ceil(high[0]), x0 + 1, x1)) - x0)
        return rows, columns


def _within(region: tuple[slice, slice], band: slice) -> tuple[slice, slice]:
    """The part of a region that lies in a band, with rows counted from its first."""
    rows, columns = region
    first = max(rows.start, band.start)
    return slice(first - band.start, max(min(rows.stop, band.stop), first) - band.start), columns
