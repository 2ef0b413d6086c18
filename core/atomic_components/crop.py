"""Cuts a square around a face and turns it upright, as input of the networks.

Its geometry is LivePortrait's (arXiv:2407.03168), its proportions are Ditto's (arXiv:2411.19509).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from core.atomic_components.pose import Array
from core.aux_models.landmarks import Landmarks
from core.errors import FaceError
from core.types import Frame

CROP_PX = 512
INPUT_PX = 256
"""Side of the input of the appearance and motion extractors, pixels: half of the 512x512 crop."""
MIN_FACE_PX = 4.0
"""Landmarks that span less mark no face."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut out of a frame, turned and scaled.

    m_o2c, m_c2o: (3, 3) float32, pixels of the frame to pixels of the crop, and back. size_px: its side, in its pixels.
    """

    m_o2c: Array
    m_c2o: Array
    size_px: int

    @classmethod
    def around(
        cls, landmarks: Landmarks, size_px: int, scale: float, vx_ratio: float = 0.0, vy_ratio: float = 0.0, rotate: bool = True
    ) -> Crop:
        """The crop whose side is `scale` times the larger extent of the landmarks, along the axes of the face, around their middle.

        rotate False keeps the crop's place and size and only leaves out the turn. Raises FaceError where the landmarks span nothing.
        """
        points = landmarks.points
        down = landmarks.mouth_centre - landmarks.eye_centre
        length = float(np.linalg.norm(down))
        down = down / np.float32(length) if length > 1e-3 else np.array([0, 1], np.float32)
        right = np.array([down[1], -down[0]], np.float32)
        axes = np.stack([right, down], axis=1)
        origin = points.mean(axis=0)
        along = (points - origin) @ axes
        low, high = along.min(axis=0), along.max(axis=0)
        side = (high - low).max() * np.float32(scale)
        if not np.isfinite(side) or side < MIN_FACE_PX * scale:
            raise FaceError(
                "The landmarks found mark no face.", "Use a sharp, evenly lit picture of one person from the front.", code="face_none"
            )
        # float32 and this order throughout: the matrix then equals the published one to the last bit, and with it every pixel of the crop.
        middle = (low + high) / np.float32(2)
        centre = origin + right * middle[0] + down * middle[1]
        centre = centre + right * np.float32(vx_ratio * side) + down * np.float32(vy_ratio * side)
        angle = math.acos(min(1.0, max(-1.0, float(right[0])))) if rotate else 0.0
        angle = -angle if right[1] < 0 else angle
        cos, sin, factor, (cx, cy) = math.cos(angle), math.sin(angle), size_px / side, centre
        x = size_px / 2 - factor * (cos * cx + sin * cy)
        y = size_px / 2 - factor * (cos * cy - sin * cx)
        m_o2c = np.array([[factor * cos, factor * sin, x], [-factor * sin, factor * cos, y], [0, 0, 1]], np.float32)
        return cls(m_o2c, np.linalg.inv(m_o2c), size_px)

    @property
    def side_px(self) -> float:
        """Its side in pixels of the frame."""
        return self.size_px / math.hypot(float(self.m_o2c[0, 0]), float(self.m_o2c[0, 1]))

    def pixels(self, frame: Frame) -> Frame:
        """(size_px, size_px, 3) uint8; black where it reaches over the frame's edge."""
        cut: Frame = cv2.warpAffine(frame, self.m_o2c[:2], (self.size_px, self.size_px), flags=cv2.INTER_LINEAR, borderValue=0)
        return cut

    def to_frame(self, points: Array) -> Array:
        """(n, 2) in pixels of the crop -> in pixels of the frame."""
        return moved(points, self.m_c2o)

    def to_crop(self, points: Array) -> Array:
        """(n, 2) in pixels of the frame -> in pixels of the crop."""
        return moved(points, self.m_o2c)


def moved(points: Array, matrix: Array) -> Array:
    """(n, 2) points through a (3, 3) affine matrix."""
    out: Array = points @ matrix[:2, :2].T + matrix[:2, 2]
    return out


def network_input(crops: Sequence[Frame]) -> torch.Tensor:
    """n of (256, 256, 3) uint8 RGB -> (n, 3, 256, 256) float32 0..1."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def halved(crop: Frame) -> Frame:
    """(512, 512, 3) uint8 -> (256, 256, 3), averaged."""
    small: Frame = cv2.resize(crop, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    return small
