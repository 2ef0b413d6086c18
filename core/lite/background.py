"""Puts something else behind the person of a still picture: a blur of what is there, a colour, or another picture.

It is done once, before anything moves: the head's movement fades out around the head, so what is behind it stays where it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.lite.person_in_photo import PersonInPhoto
from core.optimization.resolution_optimization import Cut, cut_pixels
from core.types import Frame, Photo

Array = NDArray[np.float32]

EDGE_RADIUS, EDGE_SMOOTHING = 0.012, 1e-4
"""The mask is drawn to the picture's own edges within this part of its side; variance of brightness (0..1) that counts as no edge."""
SURE_FROM, SURE_TO = 0.12, 0.88
"""What the mask says below and above is made certain: hair keeps what lies between."""
BLUR_SIGMA = 0.045
"""Of the blurred background, part of the picture's side."""
SPILL_RADIUS = 0.02
"""Part of the side from within which the colour of a pixel on the edge is estimated."""


FOUND = 0.7
"""A person was found where the mask covers the face so far, on average."""


class BackgroundChange:
    """Puts `background` behind the person in one part of their photo.

    person_found: False where the face is not among what was found, as in many drawings: then the picture stays as it is.
    """

    def __init__(self, person: PersonInPhoto, cut: Cut, background: str | Photo) -> None:
        self._person, self._cut, self._background = person, cut, background
        self.person_found = False

    def __call__(self, picture: Frame, left: int, top: int, right: int, bottom: int) -> Frame:
        """picture: what `cut` shows, at any size. left .. bottom: of the face in it, pixels."""
        mask = self._person.mask(self._cut, picture.shape[1], picture.shape[0])
        face = mask[max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
        self.person_found = bool(face.size) and float(face.mean()) >= FOUND
        return with_background(picture, mask, self._background) if self.person_found else picture


def with_background(picture: Frame, mask: Array, background: str | Photo) -> Frame:
    """The person of a (H, W, 3) picture before another background. mask: (H, W), 1 on the person. background: "blur", "#rrggbb" or a
    picture.
    """
    image = picture.astype(np.float32) / np.float32(255)
    side = min(picture.shape[:2])
    alpha: Array = fine_mask(image, mask)[..., None]
    person, behind = _apart(image, alpha, max(1, round(SPILL_RADIUS * side)))
    if isinstance(background, Photo):
        new = covering(background.pixels, picture.shape[1], picture.shape[0]).astype(np.float32) / np.float32(255)
    elif background == "blur":
        new = _blurred(image, alpha, BLUR_SIGMA * side)
    else:
        new = np.array([int(background[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / np.float32(255)
    out: Frame = np.rint(np.clip(person * alpha + new * (1 - alpha), 0, 1) * 255).astype(np.uint8)
    return out


def covering(pixels: Frame, width: int, height: int) -> Frame:
    """The middle of a (H, W, 3) picture that fills (height, width, 3) to all edges, its proportions kept."""
    high, wide = pixels.shape[:2]
    scale = max(width / wide, height / high)
    shown_width, shown_height = width / scale, height / scale
    return cut_pixels(pixels, Cut((wide - shown_width) / 2, (high - shown_height) / 2, shown_width, shown_height), width, height)


def fine_mask(image: Array, mask: Array) -> Array:
    """The mask, drawn to the edges of the (H, W, 3) image 0..1: a guided filter by its brightness (He, Sun and Tang, ECCV 2010)."""
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (2 * max(1, round(EDGE_RADIUS * min(mask.shape))) + 1,) * 2

    def mean(values: Array) -> Array:
        averaged: Array = cv2.blur(values, size, borderType=cv2.BORDER_REPLICATE)
        return averaged

    guide_mean, mask_mean = mean(guide), mean(mask)
    slope = (mean(guide * mask) - guide_mean * mask_mean) / (mean(guide * guide) - guide_mean**2 + EDGE_SMOOTHING)
    fine = mean(slope) * guide + mean(mask_mean - slope * guide_mean)
    sure: Array = np.clip((fine - SURE_FROM) / (SURE_TO - SURE_FROM), 0, 1).astype(np.float32)
    return sure


def _apart(image: Array, alpha: Array, radius: int) -> tuple[Array, Array]:
    """Colours of the person and of what is behind at each pixel, so that no hair keeps a rim of the old background: from averages of both
    sides around it, corrected by what the pixel shows (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021).
    """
    person, behind = image, image
    for size in (2 * radius + 1, 7):

        def mean(values: Array, size: int = size) -> Array:
            averaged: Array = cv2.blur(values, (size, size), borderType=cv2.BORDER_REPLICATE)
            return averaged

        share = mean(alpha)[..., None]
        person, behind = mean(person * alpha) / (share + 1e-5), mean(behind * (1 - alpha)) / (1 - share + 1e-5)
        person = np.clip(person + alpha * (image - alpha * person - (1 - alpha) * behind), 0, 1)
    return person, behind


def _blurred(image: Array, alpha: Array, sigma: float) -> Array:
    """What is behind the person, blurred; nothing of the person is in it."""
    factor = min(1.0, 8 / sigma)  # a wide blur has no detail: it is computed small
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    away = cv2.resize(1 - alpha, size, interpolation=cv2.INTER_AREA)[..., None]
    small = cv2.resize(image * (1 - alpha), size, interpolation=cv2.INTER_AREA)

    def soft(values: Array, width: float) -> Array:
        blurred: Array = cv2.GaussianBlur(values, (0, 0), width * factor, borderType=cv2.BORDER_REPLICATE)
        return blurred if blurred.ndim == 3 else blurred[..., None]

    near, far = soft(away, sigma), soft(away, 6 * sigma)
    # deep inside the person nothing is near: colours from farther away fill it
    filled = (soft(small, sigma) + 1e-3 * soft(small, 6 * sigma)) / (near + 1e-3 * far + 1e-7)
    result: Array = cv2.resize(filled.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return result
