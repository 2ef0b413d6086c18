"""A face mesh for a face that nobody finds (of an animal, a doll, a thing), laid through six points that a person has set.

The canonical face is bent so that its eyes, corners of the mouth, lips and chin lie on them: along the line from the eyes over the lips to
the chin it is stretched piece by piece, across it by the distance of the eyes and, near the mouth, of its corners. Unlike a thin-plate
spline this never folds, however short a chin or wide a mouth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.aux_models.canonical_face import canonical_face
from core.aux_models.face_mesh import Face
from core.lite.eye_outline import EyeOutline, eye_outline
from core.lite.eye_warp import EYES
from core.lite.local_frame import smoothstep
from core.lite.mouth_warp import CHIN, CORNERS, FULL_OPENING, LOWER_INNER, LOWER_OUTER, UPPER_INNER, UPPER_OUTER
from core.types import Frame

Points = NDArray[np.float64]

OPENING_PER_CHIN, SHORTEST_CHIN = 0.55, 0.8
"""Most that a mouth opens over the distance from lips to chin, and the least of that over half the mouth's width."""
BROW, EYE_END = -5.0, 4.45
BESIDE, ABOVE = 0.3, 0.4
"""Centimetres of the canonical face up to which it is taken as it is, above and to the sides of the eyes; of what is farther out only these
parts: the eyes of animals and things are large, or far apart in their heads."""


def face_by_hand(pixels: Frame, points: Points) -> Face:
    """pixels: the photo, (H, W, 3) uint8 RGB. points: (6, 2), pixels, as `core.hand_landmarks.hand_points` gives them."""
    canonical = canonical_face().astype(np.float64)
    bend = _Bend(canonical, points)
    mesh = bend(canonical[:, :2])
    _close_lips(mesh, canonical, bend)
    outlines = [eye_outline(pixels, eye, points[1] - points[0]) for eye in points[:2]]
    for outline, side in zip(outlines, EYES, strict=True):
        if outline is not None:
            _lay_eye(mesh, side, outline, bend)
    xyz = np.concatenate([mesh, canonical[:, 2:] * bend.scale], axis=1)
    across, down = points[1] - points[0], points[5] - points[:2].mean(axis=0)
    roll = float(np.degrees(np.arctan2(across[1] - down[0], across[0] + down[1])))
    return Face(xyz.astype(np.float32), {}, 0.0, 0.0, roll, bend.opening_unit, eyes_seen=None not in outlines)


class _Bend:
    """(n, 2) centimetres of the canonical face -> (n, 2) pixels of the photo."""

    def __init__(self, canonical: Points, points: Points) -> None:
        eyes, corners = points[:2], points[2:4]
        middles = np.stack([canonical[[*ends, *upper, *lower], :2].mean(axis=0) for ends, upper, lower, _ in EYES.values()])
        self.half = float(canonical[CORNERS[1], 0])
        self.heights = np.array([middles[:, 1].mean(), canonical[list(CORNERS), 1].mean(), canonical[CHIN, 1]])
        """Of eyes, lips and chin of the canonical face."""
        self.line = np.stack([eyes.mean(axis=0), points[4], points[5]])
        self.per_eye = (eyes[1] - eyes[0]) / (middles[1, 0] - middles[0, 0])
        self.across = (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
        self.corners = corners - points[4]
        self.scale = float(np.linalg.norm(self.per_eye))
        width = float(np.linalg.norm(corners[1] - corners[0])) / (2 * self.half)
        outer = float(canonical[263, 0] - canonical[33, 0])
        chin = max(float(np.linalg.norm(points[5] - points[4])), SHORTEST_CHIN * width * self.half)
        self.opening_unit = min(outer * (self.scale * width) ** 0.5, OPENING_PER_CHIN / FULL_OPENING * chin)

    def __call__(self, at: Points) -> Points:
        x = np.sign(at[:, 0]) * (np.minimum(np.abs(at[:, 0]), EYE_END) + BESIDE * np.maximum(np.abs(at[:, 0]) - EYE_END, 0))
        y = np.maximum(at[:, 1], BROW) + ABOVE * np.minimum(at[:, 1] - BROW, 0)
        eyes, lips, chin = self.heights
        first, second = (y - eyes) / (lips - eyes), (y - lips) / (chin - lips)
        middle = np.where(
            (y < lips)[:, None],
            self.line[0] + first[:, None] * (self.line[1] - self.line[0]),
            self.line[1] + second[:, None] * (self.line[2] - self.line[1]),
        )
        by_mouth = smoothstep(first)[:, None]  # 0 at the eyes, 1 from the mouth on
        out = (np.abs(x) / self.half)[:, None]
        inside = np.minimum(out, 1)
        corner = self.corners[(x > 0).astype(int)]
        along = (corner @ self.across)[:, None] * self.across
        bent = (smoothstep(2 * first - 1) * (1 - smoothstep(second)))[:, None]
        at_mouth = inside * along + bent * inside**2 * (corner - along)
        at_mouth = at_mouth + (np.sign(x) * np.maximum(np.abs(x) - self.half, 0))[:, None] * self.per_eye
        at_eyes = x[:, None] * self.per_eye
        bent_points: Points = middle + at_eyes + by_mouth * (at_mouth - at_eyes)
        return bent_points


def _close_lips(mesh: Points, canonical: Points, bend: _Bend) -> None:
    """Lays the inner edges of both lips on the line through corners and lips, in place; the outer edges keep their distance."""
    height = bend.heights[1]
    for corner in (CORNERS[0], UPPER_INNER[0], UPPER_INNER[-1], CORNERS[1]):
        mesh[corner] = bend(np.array([[canonical[corner, 0], height]]))[0]
    for inner, outer in ((UPPER_INNER[1:-1], UPPER_OUTER), (LOWER_INNER[1:-1], LOWER_OUTER)):
        line = bend(np.stack([canonical[list(inner), 0], np.full(len(inner), height)], axis=1))
        mesh[list(outer)] += line - mesh[list(inner)]
        mesh[list(inner)] = line


def _lay_eye(mesh: Points, side: str, outline: EyeOutline, bend: _Bend) -> None:
    """Lays the lids of one eye on its outline, in place."""
    corners, upper, lower, _ = EYES[side]
    right = bend.per_eye / bend.scale
    down = np.array([-right[1], right[0]])
    for indices, sign in ((upper, -1), (lower, 1)):
        angles = np.linspace(0, np.pi, len(indices) + 2)[:, None]
        line = outline.middle - np.cos(angles) * outline.half_width * right + sign * np.sin(angles) * outline.half_height * down
        mesh[[corners[0], *indices, corners[1]]] = line
