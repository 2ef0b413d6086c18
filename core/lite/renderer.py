"""Draws one portrait at one size with any expression; everything that frames share is computed once.

A frame is one lookup into the photo: each output pixel goes back through the head's movement, then through the mouth's or an
eye's, to the place in the photo it shows. So the photo is resampled once, and stays sharp. What moves smoothly, the head and the skin
around the mouth, is computed for one pixel in sixteen; only lips and eyes, which have edges, for every one.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.aux_models.face_mesh import Face
from core.lite.closed_lid import ClosedLid
from core.lite.expression import Expression
from core.lite.eye_warp import EYES, EyeWarp
from core.lite.head_warp import COARSE, HeadWarp, at_pixels
from core.lite.local_frame import Array, LocalFrame, move, to_local
from core.lite.mouth_interior import MouthInterior
from core.lite.mouth_painting import fill_mouth
from core.lite.mouth_warp import MouthShape, MouthWarp
from core.lite.painted_lid import PaintedLid
from core.optimization.resolution_optimization import Cut, cut_pixels
from core.types import Frame

BAND_PIXELS = 160_000
"""A frame is drawn in bands of so many pixels at most: a few milliseconds on one core of a small server."""
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
        texture = cut_pixels(photo, cut, width * self._scale, height * self._scale)
        if background is not None:
            shown = np.array([cut.x, cut.y, cut.x, cut.y]), self._scale * np.array([width / cut.width, height / cut.height] * 2)
            texture = background(texture, *((np.array(face.box) - shown[0]) * shown[1]).round().astype(int).tolist())
        self._still: Frame = cv2.resize(texture, (width, height), interpolation=cv2.INTER_AREA) if self._scale > 1 else texture
        self._texture = cv2.cvtColor(texture, cv2.COLOR_RGB2RGBA)  # OpenCV looks up four channels in a third of the time of three
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
        self._interior = MouthInterior(self.mouth, texture, float(self._scale), teeth=not self._by_hand)
        left, top, right, bottom = self.head.box
        self._mouth_samples = _samples(self._region(self.mouth.frame, self.mouth.bounds))
        self._eye_regions = [(self._region(eye.frame, eye.opening), self._region(eye.frame, eye.bounds)) for eye in self.eyes]
        """Of each eye what a gaze changes, and what a blink does."""
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
        head = self.head.places(expression.pose)
        lips = expression.aperture, expression.spread, expression.tuck, expression.smile, expression.press, expression.tongue
        shape = self.mouth.shape(*lips)
        out: Frame = self._still.copy()
        x0, y0, x1, y1 = self.head.box
        drawn = out[y0:y1, x0:x1]
        places = self._in_texture(self._with_mouth(head, shape))
        for band in self._bands:
            self._show(drawn[band], *at_pixels(places, band, slice(0, x1 - x0)))
            pause()
        self._draw_eyes(drawn, head, expression)
        self._draw_lips(drawn, head, shape)
        return out

    def _with_mouth(self, head: Array, shape: MouthShape) -> Array:
        """Samples as of `HeadWarp.places`, with what the mouth moves around it."""
        places = head.copy()
        x_map, y_map = places[0][self._mouth_samples], places[1][self._mouth_samples]
        x, y = to_local(self.mouth.frame, x_map, y_map)
        x_src, y_src, _ = self.mouth.source(shape, x, y)
        move(self.mouth.frame, x_map, y_map, x_src - x, y_src - y)
        return places

    def _draw_eyes(self, drawn: Frame, head: Array, expression: Expression) -> None:
        """Lids and eyeballs, over the head's box."""
        blink = expression.blink * self._eyes_open
        if not (blink or expression.gaze_x or expression.gaze_y):
            return
        for eye, lid, regions in zip(self.eyes, self._lids, self._eye_regions, strict=True):
            part = regions[1 if blink else 0]
            x_map, y_map = at_pixels(head, *part)
            x, y = to_local(eye.frame, x_map, y_map)
            x_src, y_src = eye.source(x, y, 0.0 if self._by_hand else blink, expression.gaze_x, expression.gaze_y)
            move(eye.frame, x_map, y_map, x_src - x, y_src - y)
            self._show(drawn[part], self._in_texture(x_map), self._in_texture(y_map))
            if blink:
                lid.paint(drawn[part], x, y, blink)

    def _draw_lips(self, drawn: Frame, head: Array, shape: MouthShape) -> None:
        """Lips and what is between them, over the head's box."""
        part = self._region(self.mouth.frame, self.mouth.around_lips(shape))
        x_map, y_map = at_pixels(head, *part)
        x, y = to_local(self.mouth.frame, x_map, y_map)
        x_src, y_src, covered = self.mouth.source(shape, x, y)
        move(self.mouth.frame, x_map, y_map, x_src - x, y_src - y)
        self._show(drawn[part], self._in_texture(x_map), self._in_texture(y_map))
        fill_mouth(drawn[part], self.mouth, self._interior, shape, x_src, y, covered)

    def _in_texture(self, positions: Array) -> Array:
        """Pixels of the output as pixels of the texture, whose first has its middle at 0; in place."""
        positions *= np.float32(self._scale)
        positions -= np.float32(0.5)
        return positions

    def _show(self, drawn: Frame, x: Array, y: Array) -> None:
        """Puts what is at (x, y) in the texture into a part of a frame."""
        shown = cv2.remap(self._texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB, dst=drawn)

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


def _samples(region: tuple[slice, slice]) -> tuple[slice, slice]:
    """Those of `HeadWarp.places` that decide on the pixels of a region, and no others."""
    rows, columns = (slice(part.start // COARSE, -(-part.stop // COARSE) + 2) for part in region)
    return rows, columns
