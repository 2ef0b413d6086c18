"""Draws one portrait at one size with any expression; everything that frames share is computed once.

A frame is one lookup into the photo: each output pixel goes back through the head's movement, then through the mouth's or an
eye's, to the place in the photo it shows. So the photo is resampled once, and stays sharp. What moves smoothly, the head and the skin
around the mouth, is computed for one pixel in sixteen or fewer; only lips and eyes, which have edges, for every one.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.aux_models.face_mesh import Face
from core.lite.closed_lid import ClosedLid
from core.lite.expression import Expression
from core.lite.eye_warp import EYES, EyeWarp
from core.lite.head_warp import FeaturePlaces, HeadPose, HeadWarp
from core.lite.local_frame import Array, places_in, texture_matrix
from core.lite.mouth_interior import MouthInterior
from core.lite.mouth_painting import fill_mouth
from core.lite.mouth_warp import MouthLayers, MouthShape, MouthSource, MouthWarp
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
        self._mouth_places = FeaturePlaces(self.head, self.mouth.frame, self.mouth.bounds)
        self._eye_places = [[FeaturePlaces(self.head, eye.frame, bounds) for bounds in (eye.opening, eye.bounds)] for eye in self.eyes]
        """Of each eye what a gaze changes, and what a blink does."""
        self._mouth_texture = texture_matrix(self.mouth.frame, self._scale)
        self._eye_textures = [texture_matrix(eye.frame, self._scale) for eye in self.eyes]
        left, top, right, bottom = self.head.box
        n_bands = -(-(bottom - top) * (right - left) // BAND_PIXELS)
        edges = np.linspace(0, bottom - top, n_bands + 1).round().astype(int).tolist()
        self._bands = [(slice(first, last), slice(0, right - left)) for first, last in zip(edges, edges[1:], strict=False)]

    @property
    def nbytes(self) -> int:
        eyes = [places for each in self._eye_places for places in each]
        parts: tuple[object, ...] = (self, self.head, self.mouth, self._interior, self._mouth_places, *self.eyes, *eyes)
        arrays = {id(value): value for part in parts for value in vars(part).values() if isinstance(value, np.ndarray)}
        return sum(array.nbytes for array in arrays.values())

    def draw(self, expression: Expression, pause: Callable[[], None] = lambda: None) -> Frame:
        """The (height, width, 3) uint8 RGB picture of one expression. pause: called between two bands of a large one."""
        lips = expression.aperture, expression.spread, expression.tuck, expression.smile, expression.press, expression.tongue
        shape = self.mouth.shape(*lips)
        local = self._mouth_places.at(expression.pose)
        layers, moved_down = self._around_mouth(shape, local)
        out: Frame = self._still.copy()
        x0, y0, x1, y1 = self.head.box
        drawn = out[y0:y1, x0:x1]
        places = self._places(expression.pose, local, layers.x, moved_down)
        for band in self._bands:
            self._show(drawn[band], *self.head.at_pixels(places, *band))
            pause()
        self._draw_eyes(drawn, expression)
        self._draw_lips(drawn, shape, layers, local)
        return out

    def _around_mouth(self, shape: MouthShape, local: Array) -> tuple[MouthLayers, Array]:
        """Two samples for one of `local`, which are places around the mouth in its frame; and how far down the mouth moves each."""
        x, y = (cv2.resize(plane, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR) for plane in local)
        layers = self.mouth.layers(shape, x, y)
        return layers, self.mouth.seen(shape, layers, x, y)

    def _places(self, pose: HeadPose, local: Array, moved: Array, moved_down: Array) -> Array:
        """Samples as of `HeadWarp.places`, with what the mouth moves, in pixels of the texture, whose first has its middle at 0."""
        places = self.head.places(pose)
        places *= np.float32(self._scale)
        places -= np.float32(0.5)
        dx, dy = (cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in (moved, moved_down))
        rows, columns = self._mouth_places.samples
        places[:, rows, columns] = cv2.split(places_in(self._mouth_texture, local[0] + dx, local[1] - dy))
        return places

    def _draw_eyes(self, drawn: Frame, expression: Expression) -> None:
        """Lids and eyeballs, over the head's box."""
        blink = expression.blink * self._eyes_open
        if not (blink or expression.gaze_x or expression.gaze_y):
            return
        for eye, lid, texture, places in zip(self.eyes, self._lids, self._eye_textures, self._eye_places, strict=True):
            feature = places[1 if blink else 0]
            x, y = feature.at_pixels(feature.at(expression.pose), feature.part)
            source = eye.source(x, y, 0.0 if self._by_hand else blink, expression.gaze_x, expression.gaze_y)
            self._show(drawn[feature.part], places_in(texture, *source), None)
            if blink:
                lid.paint(drawn[feature.part], x, y, blink)

    def _draw_lips(self, drawn: Frame, shape: MouthShape, layers: MouthLayers, local: Array) -> None:
        """Lips and what is between them, over the head's box."""
        part = self._mouth_places.region(self.mouth.around_lips(shape), local)
        source, y = self._lips(part, shape, layers, local)
        self._show(drawn[part], places_in(self._mouth_texture, source.x, source.y), None)
        fill_mouth(drawn[part], self.mouth, self._interior, shape, source, y)

    def _lips(self, part: tuple[slice, slice], shape: MouthShape, layers: MouthLayers, local: Array) -> tuple[MouthSource, Array]:
        """Of each pixel in a part of the head's box, where it comes from, and its height."""
        x, y = self._mouth_places.at_pixels(local, part)
        moved = MouthLayers(*self._mouth_places.at_pixels(layers, part, finer=2))
        return self.mouth.joined(shape, moved, x, y), y

    def _show(self, drawn: Frame, x: Array, y: Array | None) -> None:
        """Puts what is at (x, y) in the texture, or at (x, y) in `x` alone, into a part of a frame."""
        shown = cv2.remap(self._texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB, dst=drawn)
