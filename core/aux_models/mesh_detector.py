"""Places faces for Ditto's crops by the face mesh, in place of InsightFace's 106 landmarks."""

from __future__ import annotations

from core.aux_models.face_finder import FaceFinder
from core.aux_models.landmarks import Landmarks, Layout
from core.types import Frame

JAW_AND_BROWS = (
    *(127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
"""The jaw line from temple to temple, and the brows: what the 106 points of InsightFace reach to. The forehead is not among them."""
_EYES_AND_MOUTH = (33, 133, 159, 145, 263, 362, 386, 374, 61, 291)
LAYOUT_MESH = Layout(left_eye=(0, 1, 2, 3), right_eye=(4, 5, 6, 7), mouth=(8, 9))
"""Of the points _EYES_AND_MOUTH followed by JAW_AND_BROWS."""


class MeshDetector:
    """A FaceDetector (`core.aux_models.landmarks`) by the face mesh, its points chosen to span what 106 landmarks span."""

    def __init__(self, finder: FaceFinder) -> None:
        self._finder = finder

    def __call__(self, pixels: Frame) -> list[Landmarks]:
        chosen = list(_EYES_AND_MOUTH + JAW_AND_BROWS)
        return [Landmarks(face.points[chosen, :2], LAYOUT_MESH) for face in self._finder.find(pixels)]
