"""Finds faces in a photo with MediaPipe's face landmarker: 478 mesh points, expression scores and head pose.

Model: face_landmarker.task (Google, Apache-2.0), shipped in `assets/`. Mesh indices are those of the MediaPipe face mesh;
"left" and "right" below are the viewer's.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_candidates import PER_BOX, Candidate, CandidateFinder
from core.aux_models.landmarks import MAX_FACES, Landmarks, Layout
from core.aux_models.task_lifetime import keep_until_unused
from core.errors import EngineUnavailable
from core.types import Frame

MODEL_PATH = Path(__file__).resolve().parents[2] / "assets" / "face_landmarker.task"
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

LEFT_EYE_OUTER, RIGHT_EYE_OUTER = 33, 263
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
JAW_AND_BROWS = (
    *(127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
"""The jaw line from temple to temple, and the brows: what the 106 points of InsightFace reach to. The forehead is not among them."""
_EYES_AND_MOUTH = (33, 133, 159, 145, 263, 362, 386, 374, 61, 291)
LAYOUT_MESH = Layout(left_eye=(0, 1, 2, 3), right_eye=(4, 5, 6, 7), mouth=(8, 9))
"""Of the points _EYES_AND_MOUTH followed by JAW_AND_BROWS."""
_STEADY, _STEADY_MIRRORED = (33, 263, 1, 13, 152), (263, 33, 1, 13, 152)
"""Outer corners of the eyes, nose, lips and chin; and what they are taken for in a mirror."""
_CUT = 1.8
"""Side of the cut that a face is refined in, in sides of its box."""
CONFIDENCE = 0.4
"""Of the detector, from which on a face is looked at more closely."""
_APART_MS = 1_000_000
"""Between the frames of a video, as MediaPipe is told: at 40 ms it would smooth the points, which then lag half a frame behind a head."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo.

    points: (478, 3) float32, x and y in pixels of the photo (pixel centres at +0.5), z in the same unit, towards the viewer negative.
    blendshapes: name → 0..1 (ARKit's 52 names). yaw_deg, pitch_deg, roll_deg: of the head; positive yaw turns it to the viewer's right.
    opening_unit_px: of a face that was marked by hand, whose eyes may be anywhere: the distance of the eyes that would fit its mouth.
    eyes_seen: the lids of the mesh lie on eyes; not so where one that was marked by hand shows none.
    """

    points: NDArray[np.float32]
    blendshapes: dict[str, float]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    opening_unit_px: float | None = None
    eyes_seen: bool = True

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the face oval, pixels."""
        oval = self.points[list(FACE_OVAL), :2]
        x0, y0 = oval.min(axis=0)
        x1, y1 = oval.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    @property
    def interocular_px(self) -> float:
        """Distance of the outer eye corners."""
        return float(np.linalg.norm(self.points[LEFT_EYE_OUTER, :2] - self.points[RIGHT_EYE_OUTER, :2]))


class Landmarker:
    """MediaPipe's landmarker, loaded. Thread-safe, unless it follows one face."""

    def __init__(self, min_confidence: float, whole: bool, follows_one: bool = False) -> None:
        """whole: with expression scores and head pose. follows_one: each picture is the next frame of a video of one face, which is looked
        for where it was; the detector runs only after it was lost.
        """
        if not MODEL_PATH.is_file():
            raise EngineUnavailable(f"The face landmark model assets/{MODEL_PATH.name} is missing.", "Restore it from the repository.")
        with quiet_native_log():
            try:
                import mediapipe as mp
                from mediapipe.tasks.python import BaseOptions, vision
            except (ImportError, OSError) as error:
                raise EngineUnavailable(
                    f"mediapipe cannot be loaded: {error}.",
                    "If a library such as libGL or libEGL is missing: sudo apt-get install -y libgl1 libglib2.0-0 libegl1 libgles2",
                ) from error
            self._mp: Any = mp
            self._landmarker: Any = vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    base_options=BaseOptions(model_asset_path=str(MODEL_PATH)),
                    running_mode=vision.RunningMode.VIDEO if follows_one else vision.RunningMode.IMAGE,
                    num_faces=1 if follows_one else MAX_FACES,
                    min_face_detection_confidence=min_confidence,
                    output_face_blendshapes=whole,
                    output_facial_transformation_matrixes=whole,
                )
            )
            self._close = keep_until_unused(self, self._landmarker)
            self._lock = threading.Lock()
            self._time_ms = 0 if follows_one else None
            self(np.zeros((64, 64, 3), np.uint8))  # the first call sets up the graph, and logs

    def __call__(self, pixels: Frame) -> Any:
        """(H, W, 3) uint8 RGB -> MediaPipe's FaceLandmarkerResult."""
        image = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        with self._lock:
            if self._time_ms is None:
                return self._landmarker.detect(image)
            self._time_ms += _APART_MS
            return self._landmarker.detect_for_video(image, self._time_ms)

    def close(self) -> None:
        """Frees the network."""
        with self._lock:
            self._close()


@functools.cache
def _candidate_finder() -> CandidateFinder:
    """The detector alone, for pictures in which it is run on many parts. One for all, to the end: MediaPipe logs when it is closed."""
    import mediapipe as mp

    with quiet_native_log():
        return CandidateFinder(mp, MODEL_PATH, CONFIDENCE)


class FaceMesh:
    """The mesh of each face in a picture that a face fills well, with MediaPipe's default options, as Ditto reads the eyes from it.

    `FaceFinder` asks for less certain faces too; the boxes of those move the mesh by up to a quarter of a pixel.
    """

    def __init__(self) -> None:
        self._landmarker = Landmarker(min_confidence=0.5, whole=False)

    def meshes(self, pixels: Frame) -> list[NDArray[np.float32]]:
        """(H, W, 3) uint8 RGB -> (478, 3) float32 for each face: x and z over the width, y over the height. Empty without a face."""
        return [np.array([(p.x, p.y, p.z) for p in points], np.float32) for points in self._landmarker(pixels).face_landmarks]


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


def faces_of(found: Any, pixels: Frame, scale: float, x0: int, y0: int) -> list[Face]:
    """Of MediaPipe's result for `pixels`, which show a picture from (x0, y0) on, enlarged by `scale`."""
    height, width = pixels.shape[:2]
    faces = []
    for points, shapes, matrix in zip(found.face_landmarks, found.face_blendshapes, found.facial_transformation_matrixes, strict=True):
        xyz = np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32) / np.float32(scale)
        xyz[:, :2] += (x0, y0)
        yaw, pitch, roll = _angles_deg(np.asarray(matrix))
        faces.append(Face(xyz, {shape.category_name: float(shape.score) for shape in shapes}, yaw, pitch, roll))
    return faces


class MeshDetector:
    """A FaceDetector (`core.aux_models.landmarks`) by the face mesh, its points chosen to span what 106 landmarks span."""

    def __init__(self, finder: FaceFinder) -> None:
        self._finder = finder

    def __call__(self, pixels: Frame) -> list[Landmarks]:
        chosen = list(_EYES_AND_MOUTH + JAW_AND_BROWS)
        return [Landmarks(face.points[chosen, :2], LAYOUT_MESH) for face in self._finder.find(pixels)]


def _angles_deg(matrix: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """Yaw, pitch, roll of MediaPipe's 4x4 face transform (camera looks along -z, y up)."""
    r = matrix[:3, :3]
    yaw = np.degrees(np.arctan2(r[0, 2], r[2, 2]))
    pitch = np.degrees(np.arcsin(np.clip(r[1, 2], -1, 1)))
    roll = np.degrees(np.arctan2(r[1, 0], r[1, 1]))
    return float(yaw), float(pitch), float(roll)


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


@contextmanager
def quiet_native_log() -> Iterator[None]:
    """Keeps the native start-up log of MediaPipe off stderr, where the command line promises one line; other output passes."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all (a windowed or detached process)
        yield
        return
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            native = (b"W0000", b"I0000", b"INFO: Created TensorFlow", b"INFO: [", b"WARNING: Logging before", b"WARNING: All log messages")
            for line in log.read().splitlines(keepends=True):
                if not line.startswith(native):
                    os.write(2, line)
