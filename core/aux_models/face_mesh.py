"""MediaPipe's face landmarker: 478 mesh points, expression scores and head pose of each face in a picture that faces fill well.

Model: face_landmarker.task (Google, Apache-2.0), shipped in `assets/`. Mesh indices are those of the MediaPipe face mesh;
"left" and "right" below are the viewer's.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.aux_models.landmarks import MAX_FACES
from core.aux_models.mediapipe_loading import import_mediapipe
from core.aux_models.native_log import quiet_native_log
from core.aux_models.task_lifetime import keep_until_unused
from core.errors import EngineUnavailable
from core.types import Frame

MODEL_PATH = Path(__file__).resolve().parents[2] / "assets" / "face_landmarker.task"
LEFT_EYE_OUTER, RIGHT_EYE_OUTER = 33, 263
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
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
                mp = import_mediapipe()
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


class FaceMesh:
    """The mesh of each face in a picture that a face fills well, with MediaPipe's default options, as Ditto reads the eyes from it.

    `FaceFinder` asks for less certain faces too; the boxes of those move the mesh by up to a quarter of a pixel.
    """

    def __init__(self) -> None:
        self._landmarker = Landmarker(min_confidence=0.5, whole=False)

    def meshes(self, pixels: Frame) -> list[NDArray[np.float32]]:
        """(H, W, 3) uint8 RGB -> (478, 3) float32 for each face: x and z over the width, y over the height. Empty without a face."""
        return [np.array([(p.x, p.y, p.z) for p in points], np.float32) for points in self._landmarker(pixels).face_landmarks]


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


def _angles_deg(matrix: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """Yaw, pitch, roll of MediaPipe's 4x4 face transform (camera looks along -z, y up)."""
    r = matrix[:3, :3]
    yaw = np.degrees(np.arctan2(r[0, 2], r[2, 2]))
    pitch = np.degrees(np.arcsin(np.clip(r[1, 2], -1, 1)))
    roll = np.degrees(np.arctan2(r[1, 0], r[1, 1]))
    return float(yaw), float(pitch), float(roll)
