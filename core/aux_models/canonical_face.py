"""The canonical face of MediaPipe: where the points of the face mesh lie on a neutral face seen from the front.

Read from face_landmarker.task (Google, Apache-2.0), which has it for the pose of the head; no copy of it is kept.
"""

from __future__ import annotations

import functools
import struct
import zipfile

import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_mesh import MODEL_PATH
from core.errors import EngineUnavailable

_ENTRY = "geometry_pipeline_metadata_landmarks.binarypb"
_N_VERTICES, _PER_VERTEX = 468, 5
"""Of the file; each vertex has x, y, z and its place in a texture."""
_MESH, _VERTEX_BUFFER = 1, 3
"""Numbers of the fields in the message GeometryPipelineMetadata, and of its Mesh3d."""
IRISES = ((33, 133), (362, 263))
"""Corners of the eyes whose irises are the last ten points: five each, the middle first, in this order."""
_IRIS_RADIUS = 0.2
"""Over the distance of the eye's corners (of people 0.19 to 0.22)."""


@functools.cache
def canonical_face() -> NDArray[np.float32]:
    """(478, 3) float32, centimetres: x to the viewer's right, y down, z away from the viewer. Not to be written to.

    Raises EngineUnavailable where the file is missing or another one.
    """
    try:
        with zipfile.ZipFile(MODEL_PATH) as task:
            floats = _floats(task.read(_ENTRY))
        vertices = np.array(floats, np.float32).reshape(_N_VERTICES, _PER_VERTEX)[:, :3] * np.array([1, -1, -1], np.float32)
    except (OSError, KeyError, ValueError, IndexError, struct.error, zipfile.BadZipFile) as error:
        text = f"The face landmark model assets/{MODEL_PATH.name} is missing or damaged ({error})."
        raise EngineUnavailable(text, "Restore it from the repository.") from error
    points = np.concatenate([vertices, *(_iris(vertices[list(corners)]) for corners in IRISES)]).astype(np.float32)
    points.flags.writeable = False
    return points


def _iris(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, 3) -> (5, 3): its middle, then right, top, left and bottom."""
    radius = _IRIS_RADIUS * float(np.linalg.norm(corners[1] - corners[0]))
    around = np.array([(0, 0, 0), (1, 0, 0), (0, -1, 0), (-1, 0, 0), (0, 1, 0)], np.float32)
    points: NDArray[np.float32] = corners.mean(axis=0) + radius * around
    return points


def _floats(message: bytes) -> list[float]:
    """The vertex buffer. The format is that of protocol buffers: a number for field and kind, then the value."""
    at = 0
    floats: list[float] = []
    inside = False
    end = len(message)
    while at < end:
        key, at = _varint(message, at)
        field, kind = key >> 3, key & 7
        if kind == 5:  # four bytes
            if inside and field == _VERTEX_BUFFER:
                floats.append(struct.unpack_from("<f", message, at)[0])
            at += 4
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind == 2:  # a length, then so many bytes
            length, at = _varint(message, at)
            if not inside and field == _MESH:
                inside, end = True, at + length
            elif inside and field == _VERTEX_BUFFER:
                floats.extend(struct.unpack_from(f"<{length // 4}f", message, at))
                at += length
            else:
                at += length
        else:
            raise ValueError(f"unknown kind {kind}")
    return floats


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
