"""Finds the faces of a photo, small ones too, with their mesh refined on each face's own pixels."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_candidates import PER_BOX, Candidate, CandidateFinder
from core.aux_models.face_mesh import CONFIDENCE, MODEL_PATH, Face, Landmarker, faces_of
from core.aux_models.native_log import quiet_native_log
from core.types import Frame

DETECTION_SIDE_PX = 1280
"""Photos are searched at this longer side; the points are refined on the face's own pixels afterwards."""
LEAST_SIDE_PX = 320
"""Smaller pictures are enlarged: the mesh network takes 192 pixels of face."""
CLOSE, ALIKE = 0.04, 0.1
"""Of the distance between the eyes: how far five points of a face (eyes, nose, lips, chin) move on the average when it is looked at again,
mirrored or tilted. Faces of photos, paintings and drawings: mostly 0.03 and less, small ones from the side 0.1; what only looks like one
once: more in several looks, or it is not found again.
"""
LOOKS = ((1.0, 0.0, True), (1.0, 20.0, False), (1.0, -20.0, False), (1.28, 0.0, False), (0.83, 0.0, False))
"""How a face is looked at again: size of the cut, degrees, mirrored. It is one where all looks but one agree."""
LOOK_PX = 320
MOST_MISSED, MOST_SMALL = 8, 32
"""The search for small faces, the likeliest places first, ends at so many places without a face among parts of one size, as texture has
hundreds of them, and at so many faces.
"""
_STEADY, _STEADY_MIRRORED = (33, 263, 1, 13, 152), (263, 33, 1, 13, 152)
"""Outer corners of the eyes, nose, lips and chin; and what they are taken for in a mirror."""
_CUT = 1.8
"""Side of the cut that a face is refined in, in sides of its box."""


@functools.cache
def _candidate_finder() -> CandidateFinder:
    """The detector alone, for pictures in which it is run on many parts. One for all, to the end: MediaPipe logs when it is closed."""
    import mediapipe as mp

    with quiet_native_log():
        return CandidateFinder(mp, MODEL_PATH, CONFIDENCE)


class FaceFinder:
    """Holds the loaded landmarker. Thread-safe."""

    def __init__(self) -> None:
        self._landmarker = Landmarker(CONFIDENCE, whole=True)
        self._candidates = _candidate_finder()

    def find(self, pixels: Frame) -> list[Face]:
        """Faces of a (H, W, 3) uint8 RGB photo, the largest first, points refined on each face's own pixels."""
        return sorted(self._search(pixels), key=lambda face: -face.interocular_px)

    def largest_mesh(self, pixels: Frame) -> NDArray[np.float32] | None:
        """(478, 3) points of the largest face of a picture that the face fills well, without searching further; None without a face."""
        face = max(self._detect(np.ascontiguousarray(pixels)), key=lambda face: face.interocular_px, default=None)
        return None if face is None else face.points

    def detect(self, pixels: Frame) -> list[Face]:
        """The faces that one look at the whole picture shows, in no order, their points less exact than those of `find`."""
        return self._detect_in(pixels, 0, 0, pixels.shape[1], pixels.shape[0])

    def _search(self, pixels: Frame) -> list[Face]:
        """Faces in the whole picture; if there is none, in overlapping parts of it (the detector misses small faces).

        Where the first were found in parts, smaller parts are searched once more: others beside them may be smaller yet.
        """
        seen = _distinct(self.detect(pixels))
        found = [face for face in (self._refine(pixels, each) or each for each in seen) if self._is_face(pixels, face)]
        if found:
            return found
        for candidates in self._candidates.search(pixels):
            enough, missed = bool(found), 0
            for candidate in candidates:
                if missed == MOST_MISSED or len(found) == MOST_SMALL:
                    break
                if any(candidate.is_at(*known.points[:, :2].mean(axis=0)) for known in found):
                    continue
                face = self._at(pixels, candidate)
                if face is None or not self._is_face(pixels, face):
                    missed += 1
                elif not any(_same(face, known) for known in found):
                    found.append(face)
            if enough:
                break
        return _distinct(found)

    def _is_face(self, pixels: Frame, face: Face) -> bool:
        """Whether it is at the same place when it is looked at again, mirrored and tilted: the detector alone sees faces in craters."""
        seen = [face.points[list(_STEADY), :2]]
        for size, degrees, mirrored in LOOKS:
            again = self._look(pixels, face, size, degrees, mirrored)
            if again is not None:
                if len(seen) == 1 and _apart(again, seen[0], face) < CLOSE:
                    return True
                seen.append(again)
        middle = np.median(seen, axis=0)
        return sum(_apart(each, middle, face) < ALIKE for each in seen) >= len(LOOKS)

    def _look(self, pixels: Frame, face: Face, size: float, degrees: float, mirrored: bool) -> NDArray[np.float32] | None:
        """(5, 2) points _STEADY of the face in pixels of the photo, as they are seen in a cut so much larger, in which it is upright but
        for some degrees, or mirrored; None where it is not found.
        """
        x0, y0, x1, y1 = face.box
        side = _CUT * size * max(x1 - x0, y1 - y0)
        to_cut = cv2.getRotationMatrix2D(((x0 + x1) / 2, (y0 + y1) / 2), degrees - face.roll_deg, LOOK_PX / side)
        to_cut[:, 2] += LOOK_PX / 2 - np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        if mirrored:
            to_cut[0] = -to_cut[0]
            to_cut[0, 2] += LOOK_PX
        shrinks = cv2.INTER_AREA if side > LOOK_PX else cv2.INTER_CUBIC
        cut = cv2.warpAffine(pixels, to_cut, (LOOK_PX, LOOK_PX), flags=shrinks, borderMode=cv2.BORDER_REPLICATE)
        back = cv2.invertAffineTransform(to_cut)
        found = [
            other.points[list(_STEADY_MIRRORED if mirrored else _STEADY), :2] @ back[:, :2].T + back[:, 2] for other in self._detect(cut)
        ]
        return min(found, key=lambda points: _apart(points, face.points[list(_STEADY), :2], face), default=None)

    def _refine(self, pixels: Frame, face: Face) -> Face | None:
        """The same face, found again in a cut of its own pixels; None if it is not found there."""
        x0, y0, x1, y1 = face.box
        candidates = self._around(pixels, (x0 + x1) / 2, (y0 + y1) / 2, _CUT * max(x1 - x0, y1 - y0))
        near = [other for other in candidates if _same(face, other)]
        return max(near, key=lambda other: other.interocular_px, default=None)

    def _at(self, pixels: Frame, candidate: Candidate) -> Face | None:
        """The face at a place where the detector saw one; None where there is none."""
        faces = self._around(pixels, candidate.x, candidate.y, PER_BOX * candidate.side, LOOK_PX)
        face = min(faces, key=lambda face: candidate.distance(*face.points[:, :2].mean(axis=0)), default=None)
        return None if face is None else self._refine(pixels, face) or face

    def _around(self, pixels: Frame, x: float, y: float, side: float, most_px: int = DETECTION_SIDE_PX) -> list[Face]:
        """The faces in a square cut around (x, y), which is looked at with so many pixels a side at most."""
        height, width = pixels.shape[:2]
        half = side / 2
        box = max(0, round(x - half)), max(0, round(y - half)), min(width, round(x + half)), min(height, round(y + half))
        return self._detect_in(pixels, *box, most_px)

    def _detect_in(self, pixels: Frame, x0: int, y0: int, x1: int, y1: int, most_px: int = DETECTION_SIDE_PX) -> list[Face]:
        step = max(1, max(y1 - y0, x1 - x0) // (4 * most_px))  # pixels enough are left to average
        part = pixels[y0:y1:step, x0:x1:step]
        scale = _search_scale(max(part.shape[:2]), most_px)
        return self._detect(np.ascontiguousarray(_resized(part, scale)), scale / step, x0, y0)

    def _detect(self, pixels: Frame, scale: float = 1.0, x0: int = 0, y0: int = 0) -> list[Face]:
        return faces_of(self._landmarker(pixels), pixels, scale, x0, y0)


def _search_scale(side_px: int, most_px: int) -> float:
    return most_px / side_px if side_px > most_px else max(1.0, LEAST_SIDE_PX / side_px)


def _resized(pixels: Frame, scale: float) -> Frame:
    if scale == 1.0:
        return pixels
    resized: Frame = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return resized


def _apart(a: NDArray[np.float32], b: NDArray[np.float32], face: Face) -> float:
    """Mean distance of points, in distances between the eyes of the face."""
    return float(np.linalg.norm(a - b, axis=1).mean() / max(face.interocular_px, 1e-6))


def _same(a: Face, b: Face) -> bool:
    distance = float(np.linalg.norm(a.points[:, :2].mean(axis=0) - b.points[:, :2].mean(axis=0)))
    return distance < 0.5 * max(a.interocular_px, b.interocular_px)


def _distinct(faces: Sequence[Face]) -> list[Face]:
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.interocular_px):
        if not any(_same(face, other) for other in kept):
            kept.append(face)
    return kept
