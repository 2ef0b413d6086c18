"""Finds faces and their 106 landmarks with InsightFace's models (`det_10g`, `2d106det`), as Ditto uses them.

These two models are for non-commercial research only (InsightFace's licence); the default is MediaPipe's mesh (`mesh_detector.py`).
They are here for whoever wants exactly the crop of the published pipeline, and so one of its habits is kept: it swaps the channels of an
RGB picture, as one does for OpenCV's BGR ones, and the networks, which were trained on red first, see blue first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.landmarks import LAYOUT_106, MAX_FACES, Landmarks
from core.types import Frame

Array = NDArray[np.float32]
Network = Callable[[Array], Sequence[Array]]

DETECTOR_PX = 512
LANDMARK_PX = 192
STRIDES = (8, 16, 32)
ANCHORS = 2
MIN_SCORE = 0.5
MAX_OVERLAP = 0.4


class InsightFaceDetector:
    """A FaceDetector.

    detector: `det_10g`, (1, 3, 512, 512) -> 9 arrays: scores (n, 1), boxes (n, 4), keypoints (n, 10, not used) for strides 8, 16, 32 each.
    landmarks: `2d106det`, (1, 3, 192, 192) -> 212 numbers.
    """

    def __init__(self, detector: Network, landmarks: Network) -> None:
        self._detector, self._landmarks = detector, landmarks

    def __call__(self, pixels: Frame) -> list[Landmarks]:
        blob, scale = detector_blob(pixels)
        boxes = decode_boxes(self._detector(blob), scale)
        largest = np.argsort(-area(boxes), kind="stable")[:MAX_FACES]
        return [self._points(pixels, boxes[index]) for index in largest]

    def _points(self, pixels: Frame, box: Array) -> Landmarks:
        blob, to_crop = landmark_blob(pixels, box)
        return Landmarks(decode_landmarks(self._landmarks(blob)[0], to_crop), LAYOUT_106)


def area(boxes: Array) -> Array:
    """(n, 4 or more) x0, y0, x1, y1 -> (n,)."""
    areas: Array = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def detector_blob(pixels: Frame) -> tuple[Array, float]:
    """(H, W, 3) uint8 RGB -> (1, 3, 512, 512) float32 -1..1 with the picture in its upper left corner, and detector pixels per pixel."""
    height, width = pixels.shape[:2]
    ratio = height / width
    new_height, new_width = (DETECTOR_PX, int(DETECTOR_PX / ratio)) if ratio > 1 else (int(DETECTOR_PX * ratio), DETECTOR_PX)
    new_height, new_width = max(new_height, 1), max(new_width, 1)
    canvas = np.zeros((DETECTOR_PX, DETECTOR_PX, 3), np.uint8)
    canvas[:new_height, :new_width] = cv2.resize(pixels, (new_width, new_height))
    blob = (canvas[:, :, ::-1].astype(np.float32) - np.float32(127.5)) / np.float32(128)
    return np.ascontiguousarray(blob.transpose(2, 0, 1)[None]), new_height / height


def decode_boxes(outputs: Sequence[Array], scale: float) -> Array:
    """Raw outputs of the detector -> (n, 5) float32: x0, y0, x1, y1 in pixels of the picture, score; best first, no overlaps."""
    found = []
    for level, stride in enumerate(STRIDES):
        score = np.asarray(outputs[level], np.float32).reshape(-1)
        keep = score >= MIN_SCORE
        side = DETECTOR_PX // stride
        ys, xs = np.mgrid[:side, :side].astype(np.float32) * np.float32(stride)
        centres = np.repeat(np.stack([xs, ys], axis=-1).reshape(-1, 2), ANCHORS, axis=0)[keep]
        reach = np.asarray(outputs[level + len(STRIDES)], np.float32).reshape(-1, 4)[keep] * np.float32(stride)
        boxes = np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1) / np.float32(scale)
        found.append(np.concatenate([boxes, score[keep, None]], axis=1).astype(np.float32))
    every = np.concatenate(found)
    return _without_overlaps(every[np.argsort(-every[:, 4], kind="stable")])


def _without_overlaps(boxes: Array) -> Array:
    """Greedy non-maximum suppression of boxes that are sorted by score; sides count the last pixel, as the detector was published."""
    x0, y0, x1, y1 = boxes[:, :4].T
    areas = (x1 - x0 + 1) * (y1 - y0 + 1)
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(best)
        across = np.maximum(np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest]) + 1, 0)
        down = np.maximum(np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest]) + 1, 0)
        both = across * down
        left = rest[both / (areas[best] + areas[rest] - both) <= MAX_OVERLAP]
    return boxes[kept]


def landmark_blob(pixels: Frame, box: Array) -> tuple[Array, NDArray[np.float64]]:
    """A box of (H, W, 3) uint8 RGB -> (1, 3, 192, 192) float32 0..255, and the (2, 3) matrix from picture to it."""
    x0, y0, x1, y1 = (float(value) for value in box[:4])
    scale = LANDMARK_PX / (1.5 * max(x1 - x0, y1 - y0, 1e-3))
    half = LANDMARK_PX / 2
    to_crop = np.array([[scale, 0, half - scale * (x0 + x1) / 2], [0, scale, half - scale * (y0 + y1) / 2]])
    crop = cv2.warpAffine(pixels, to_crop, (LANDMARK_PX, LANDMARK_PX), borderValue=0)
    return np.ascontiguousarray(crop[:, :, ::-1].transpose(2, 0, 1)[None], np.float32), to_crop


def decode_landmarks(raw: Array, to_crop: NDArray[np.float64]) -> Array:
    """212 or more numbers, -1..1 over the crop -> (106, 2) float32 in pixels of the picture."""
    points = (np.asarray(raw, np.float32).reshape(-1, 2)[-106:] + np.float32(1)) * np.float32(LANDMARK_PX / 2)
    back = cv2.invertAffineTransform(to_crop)
    on_picture: Array = (points @ back[:, :2].T + back[:, 2]).astype(np.float32)
    return on_picture
