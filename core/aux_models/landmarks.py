"""What the sets of facial landmarks have in common, and the measures computed from them.

Sets: 106 points (InsightFace `2d106det`), 203 points (LivePortrait, arXiv:2407.03168) and the 478 points of MediaPipe's face mesh.
"Left" and "right" are the viewer's. Pixels are (x, y), float32, in the picture's own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import FaceError
from core.types import Frame

Array = NDArray[np.float32]

MAX_FACES = 8
"""As many faces of a picture are told apart; more are not offered."""
MAX_OUTSIDE = 0.08
"""Part of a face's points that may lie outside the picture."""


@dataclass(frozen=True)
class Layout:
    """Which points of a set lie around each eye, and which two at the corners of the mouth: what a crop is turned by."""

    left_eye: tuple[int, ...]
    right_eye: tuple[int, ...]
    mouth: tuple[int, int]


LAYOUT_106 = Layout(left_eye=(33, 35, 40, 39), right_eye=(87, 89, 94, 93), mouth=(52, 61))
LAYOUT_203 = Layout(left_eye=(0, 6, 12, 18), right_eye=(24, 30, 36, 42), mouth=(48, 66))


@dataclass(frozen=True, eq=False)
class Landmarks:
    """One face. points: (n, 2) float32, x and y in pixels. layout: which of them are eyes and mouth."""

    points: Array
    layout: Layout

    @property
    def eye_centre(self) -> Array:
        """(2,): the middle between both eyes."""
        left, right = (self.points[list(eye)].mean(axis=0) for eye in (self.layout.left_eye, self.layout.right_eye))
        centre: Array = (left + right) / np.float32(2)
        return centre

    @property
    def mouth_centre(self) -> Array:
        """(2,): the middle between the corners of the mouth."""
        centre: Array = self.points[list(self.layout.mouth)].mean(axis=0)
        return centre

    @property
    def roll_deg(self) -> float:
        """Of the head in its picture, by the way from its eyes to its mouth; positive is counterclockwise."""
        down = self.mouth_centre - self.eye_centre
        return math.degrees(math.atan2(float(down[0]), float(down[1])))

    def scaled(self, factor_x: float, factor_y: float) -> Landmarks:
        """The same face after the picture was resized."""
        return Landmarks(self.points * np.array([factor_x, factor_y], np.float32), self.layout)


FaceDetector = Callable[[Frame], Sequence[Landmarks]]
"""(H, W, 3) uint8 RGB -> the faces in it, the largest first; empty where there is none."""


def check_face(found: int, index: int, where: str = "the photo") -> None:
    """Raises FaceError where `where`, a picture with `found` faces, has no face `index`."""
    if not found:
        by_hand = " Or mark the face by hand (landmarks)." if where == "the photo" else ""
        raise FaceError(
            f"No face was found in {where}.",
            f"Use a sharp, evenly lit picture that shows one person from the front, the whole face in it.{by_hand}",
            code="face_none",
        )
    if index >= found:
        choice = f"Choose 0 to {found - 1}; 0 is the largest." if found > 1 else "Choose 0, the largest."
        text = f"Face {index} was asked for, but {where} shows {found} {'face' if found == 1 else 'faces'}."
        raise FaceError(text, choice, code="face_missing", parameters={"index": index, "found": found})


def check_whole(points: Array, pixels: Frame) -> None:
    """Raises FaceError where much of a face, (n, 2 or 3) points, lies outside its picture."""
    height, width = pixels.shape[:2]
    x, y = points[:, 0], points[:, 1]
    outside = float(np.mean((x < 0) | (y < 0) | (x > width) | (y > height)))
    if outside > MAX_OUTSIDE:
        raise FaceError(
            f"The face is cut off by the edge of the picture ({outside:.0%} of it is outside).",
            "Use a picture that shows the whole face.",
            code="face_cut_off",
            parameters={"share": f"{outside:.0%}"},
        )


# MediaPipe face mesh indices, (left, right): corners of the eyes, the pairs of lid points that face each other, the pupils.
_OUTER, _INNER, _PUPIL = (33, 263), (133, 362), (468, 473)
_LIDS = (((145, 159), (144, 160), (153, 158)), ((374, 386), (373, 387), (380, 385)))


def eye_attributes(mesh: Array) -> tuple[Array, Array]:
    """How far the eyes are open and where they look, as Ditto's motion model is told (arXiv:2411.19509, published code's convention).

    mesh: (n, 478, 3) float32, MediaPipe's normalised coordinates -> (n, 2) lid openings over eye widths, left and right, about 0..1.5, and
    (n, 6) gaze: the pupil's way from the middle of the eye, less as long a way along the eye; order xL xR yL yR zL zR.
    """
    opened, gaze = [], []
    for side in (0, 1):
        outer, inner, pupil = mesh[:, _OUTER[side]], mesh[:, _INNER[side]], mesh[:, _PUPIL[side]]
        along = outer - inner
        width = _length(along)
        lids = np.stack([_length(mesh[:, low] - mesh[:, high]) for low, high in _LIDS[side]]).sum(axis=0)
        opened.append(lids / (width + np.float32(1e-8)))
        way = pupil - (outer + inner) / np.float32(2)
        distance = _length(way)
        gaze.append((way / (distance + np.float32(1e-8)) - along / (width + np.float32(1e-8))) * distance)
    return np.concatenate(opened, axis=1), np.stack(gaze, axis=-1).reshape(len(mesh), 6)


def _length(vectors: Array) -> Array:
    """(n, 3) -> (n, 1)."""
    lengths: Array = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return lengths
