"""Where in a large picture small faces may be: the detector of MediaPipe's face landmarker alone, part by part.

The mesh network takes several times as long as the detector, which sees much that is no face; so it is run on the likeliest places only.
"""

from __future__ import annotations

import math
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from core.aux_models.task_lifetime import keep_until_unused
from core.types import Frame

DETECTOR = "face_detector.tflite"
"""In the landmarker's file, which is an archive."""
PARTS = (2, 4, 7)
"""Parts in each direction that a picture is searched in, one division after the other; each is larger than its share: they overlap."""
MIN_PART_PX = 256
"""Faces that would be missed in parts of this size have too few pixels to animate."""
SMALL_PART_PX, SMALL_PART_STEP = 512, 0.75
"""The last parts that a large picture is searched in, and how far one begins behind the other, in sides: a face of 100 pixels is in one of
them whole, and large enough for the detector, which misses what is below a sixth of its picture.
"""
PART_SIDE_PX = 256
"""Parts are searched at this size; the detector's own is 128."""
COARSE_PX = 1024
"""Longer side of the picture that all but the last parts are taken from: a quarter of it has PART_SIDE_PX."""
PER_BOX = 2.4
"""Side of the cut in which a face is looked at more closely, in sides of the detector's box, which lies within the face."""
MOST_CLOSER = 64
"""Places of one division that are looked at so, the likeliest first."""
FLAT = 4.0
"""Standard deviation of each colour of a part, 0..255, below which nobody can be in it."""
Part = tuple[int, int, int, int]


@dataclass(frozen=True)
class Candidate:
    """A place where a face may be. x, y: its middle, side: of the detector's box, all in pixels of the picture. score: 0..1."""

    x: float
    y: float
    side: float
    score: float

    def distance(self, x: float, y: float) -> float:
        return math.hypot(self.x - x, self.y - y)

    def is_at(self, x: float, y: float) -> bool:
        """Whether a face with its middle there is this one."""
        return self.distance(x, y) < 0.5 * self.side


class CandidateFinder:
    """The loaded detector. Thread-safe."""

    def __init__(self, mp: Any, bundle: Path, min_confidence: float) -> None:
        """mp: MediaPipe. bundle: the landmarker's file."""
        from mediapipe.tasks.python import BaseOptions, vision

        with zipfile.ZipFile(bundle) as archive:
            model = archive.read(DETECTOR)
        self._mp = mp
        self._detector: Any = vision.FaceDetector.create_from_options(
            vision.FaceDetectorOptions(base_options=BaseOptions(model_asset_buffer=model), min_detection_confidence=min_confidence)
        )
        self._close = keep_until_unused(self, self._detector)
        self._lock = threading.Lock()
        self._detect(np.zeros((64, 64, 3), np.uint8))  # the first call sets up the graph, and logs

    def search(self, pixels: Frame) -> Iterator[list[Candidate]]:
        """Of a (H, W, 3) uint8 RGB picture: the places in overlapping parts of it, then in ever smaller ones; the likeliest first."""
        height, width = pixels.shape[:2]
        longer = max(height, width)
        near = _reduced(pixels, PART_SIDE_PX / SMALL_PART_PX) if longer > 2 * COARSE_PX else pixels  # at this scale reducing is quickest
        coarse = _reduced(near, min(1.0, COARSE_PX / max(near.shape[:2])))
        for parts in divisions(width, height):
            x0, y0, x1, y1 = parts[0]
            scale = PART_SIDE_PX / max(x1 - x0, y1 - y0)
            taken = near if scale * longer > COARSE_PX + 1 else coarse
            seen = self._in_parts(_reduced(taken, scale * longer / max(taken.shape[:2])), scale, parts)
            closer = [again for each in seen[:MOST_CLOSER] if (again := self._closer(pixels, each))]
            yield sorted(closer, key=lambda each: -each.score)

    def _in_parts(self, shown: Frame, scale: float, parts: Sequence[Part]) -> list[Candidate]:
        """shown: the picture at `scale`."""
        found: list[Candidate] = []
        for x0, y0, x1, y1 in parts:
            part = np.ascontiguousarray(shown[round(y0 * scale) : round(y1 * scale), round(x0 * scale) : round(x1 * scale)])
            if cv2.meanStdDev(part)[1].max() >= FLAT:
                found += [Candidate(x / scale + x0, y / scale + y0, side / scale, score) for x, y, side, score in self._detect(part)]
        kept: list[Candidate] = []
        for each in sorted(found, key=lambda each: -each.score):
            if not any(other.is_at(each.x, each.y) for other in kept):
                kept.append(each)
        return kept

    def _closer(self, pixels: Frame, candidate: Candidate) -> Candidate | None:
        """The place as the detector scores it in a cut that it fills: faces more, most texture less or not at all."""
        height, width = pixels.shape[:2]
        x, y, half = candidate.x, candidate.y, PER_BOX / 2 * candidate.side
        x0, y0, x1, y1 = max(0, round(x - half)), max(0, round(y - half)), min(width, round(x + half)), min(height, round(y + half))
        step = max(1, max(x1 - x0, y1 - y0) // (2 * PART_SIDE_PX))  # pixels enough are left to average
        cut = pixels[y0:y1:step, x0:x1:step]
        scale = PART_SIDE_PX / max(cut.shape[:2])
        shown = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        seen = [Candidate(step / scale * a + x0, step / scale * b + y0, step / scale * c, score) for a, b, c, score in self._detect(shown)]
        near = [each for each in seen if candidate.distance(each.x, each.y) < candidate.side]
        return max(near, key=lambda each: each.score, default=None)

    def _detect(self, pixels: Frame) -> list[tuple[float, float, float, float]]:
        image = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=pixels)
        with self._lock:
            detections = self._detector.detect(image).detections
        boxes = [(each.bounding_box, float(each.categories[0].score)) for each in detections]
        return [(box.origin_x + box.width / 2, box.origin_y + box.height / 2, float(box.width), score) for box, score in boxes]


def divisions(width: int, height: int) -> Iterator[list[Part]]:
    """x0, y0, x1, y1 of the overlapping parts that a picture is searched in, ever smaller ones."""
    for n in PARTS:
        share = 2 / (n + 1)
        if share * max(height, width) < MIN_PART_PX:
            return
        yield _overlapping(width, height, n, n, round(share * width), round(share * height))
    if 2 / (PARTS[-1] + 1) * max(width, height) > SMALL_PART_PX:
        step = SMALL_PART_PX * SMALL_PART_STEP
        columns, rows = (1 + max(0, math.ceil((side - SMALL_PART_PX) / step)) for side in (width, height))
        yield _overlapping(width, height, columns, rows, SMALL_PART_PX, SMALL_PART_PX)


def _overlapping(width: int, height: int, columns: int, rows: int, across: int, down: int) -> list[Part]:
    lefts = [round(column * max(0, width - across) / max(columns - 1, 1)) for column in range(columns)]
    tops = [round(row * max(0, height - down) / max(rows - 1, 1)) for row in range(rows)]
    return [(x, y, min(width, x + across), min(height, y + down)) for y in tops for x in lefts]


def _reduced(pixels: Frame, scale: float) -> Frame:
    if abs(scale - 1) < 1e-3:
        return pixels
    reduced: Frame = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return reduced
