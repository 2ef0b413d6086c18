"""Warnings about a face that is likely to look poor in a video."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_mesh import Face
from core.notices import notice
from core.optimization.resolution_optimization import Cut, cut_pixels
from core.types import Frame

SMALL_PX, TURNED_DEG = 60, 30
BLUR_LIMIT = 3.0
"""Standard deviation of the Laplacian of a face resampled to 256 pixels: sharp photos have 6 to 20, visibly blurred ones below 3."""
DARK_LIMIT, ORDINARY_LIGHTS = 45.0, 120.0
"""Lightness 0..255 that nine tenths of the skin stay below: also very dark skin has lights in ordinary light."""
LIP_CONTRAST, COVER_DIFFERENCE = 4.0, 13.0
"""Colour differences (CIE76). Lips differ from what is around them by 7 and more, the skin around them from the cheeks by 7 or so."""
_SIDE_PX = 256
PLAIN = 7.0
"""Standard deviation of the lightness around the mouth below which something even is before it: lips and hair have more."""
# Points of the face mesh: below the eyes, the lips, and around them.
_CHEEKS = (50, 101, 118, 280, 330, 347)
_LIPS = (0, 13, 14, 17, 37, 267, 84, 314, 39, 269)
_AROUND = (164, 165, 391, 18, 83, 313, 200, 92, 322)
_MOUTH_AREA = (164, 57, 287, 200, 92, 322, 202, 422)


def face_warnings(pixels: Frame, face: Face) -> tuple[str, ...]:
    """pixels: the photo, (H, W, 3) uint8 RGB."""
    warnings = []
    if face.interocular_px < SMALL_PX:
        warnings.append(notice("face_small", px=f"{face.interocular_px:.0f}"))
    if abs(face.yaw_deg) > TURNED_DEG:
        warnings.append(notice("face_turned", degrees=f"{abs(face.yaw_deg):.0f}"))
    x0, y0, x1, y1 = face.box
    side = max(x1 - x0, y1 - y0)
    detail = cut_pixels(pixels, Cut(x0, y0, side, side), _SIDE_PX, _SIDE_PX)
    lightness = cv2.cvtColor(detail, cv2.COLOR_RGB2GRAY)
    lights = max(1.0, float(np.percentile(lightness, 90)))
    sharpness = float(cv2.Laplacian(lightness, cv2.CV_32F).std())
    if sharpness * max(1.0, ORDINARY_LIGHTS / lights) < BLUR_LIMIT:  # in little light all differences are small
        warnings.append(notice("face_blurred"))
    if lights < DARK_LIMIT:
        warnings.append(notice("face_dark"))
    elif face.opening_unit_px is not None:
        pass  # a muzzle has no lips to be seen
    elif _is_covered(detail, (face.points[:, :2] - (x0, y0)) * (_SIDE_PX / side)):
        warnings.append(notice("mouth_covered"))
    if not face.eyes_seen:
        warnings.append(notice("eyes_not_seen"))
    return tuple(warnings)


def _is_covered(detail: Frame, points: NDArray[np.floating]) -> bool:
    """Whether no lips are seen, and something even of another colour than the cheeks is.

    detail: the face, (256, 256, 3). points: the mesh in its pixels. A beard hides no lips.
    """
    lab = cv2.cvtColor(cv2.GaussianBlur(detail, (5, 5), 0).astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)

    def colour(of: tuple[int, ...]) -> NDArray[np.float32]:
        x, y = np.clip(points[list(of)].round().astype(int), 0, _SIDE_PX - 1).T
        median: NDArray[np.float32] = np.median(lab[y, x], axis=0)
        return median

    lips, around, cheeks = colour(_LIPS), colour(_AROUND), colour(_CHEEKS)
    area = np.zeros(lab.shape[:2], np.uint8)
    cv2.fillPoly(area, [cv2.convexHull(points[list(_MOUTH_AREA)].astype(np.int32))], 1)
    if lab[..., 0][area > 0].std() >= PLAIN:  # a beard around pale lips
        return False
    return bool(np.linalg.norm(lips - around) < LIP_CONTRAST and np.linalg.norm(around - cheeks) > COVER_DIFFERENCE)
