"""Warnings about a face: each is told of a photo that has the fault, and none of the shipped portrait."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import Face
from core.lite.photo_quality import face_warnings
from core.media.image import load_image
from core.notices import read_notice
from core.settings import Settings
from tests.support.paths import PORTRAIT

LOWER_FACE = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 4)
"""Points of the mesh around what a mask covers."""


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    """A little enlarged: its own face is as small as is well."""
    return cv2.resize(load_image(PORTRAIT, Settings()).pixels, None, fx=1.2, fy=1.2, interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def face(finder: FaceFinder, portrait: NDArray[np.uint8]) -> Face:
    return finder.find(portrait)[0]


def told(finder: FaceFinder, pixels: NDArray[np.uint8]) -> list[str]:
    found = [read_notice(warning) for warning in face_warnings(pixels, finder.find(pixels)[0])]
    return [each[0] for each in found if each is not None]


def test_a_good_photo_has_no_warnings(finder: FaceFinder, portrait: NDArray[np.uint8]) -> None:
    assert told(finder, portrait) == []


def test_a_dark_one(finder: FaceFinder, portrait: NDArray[np.uint8]) -> None:
    assert told(finder, (portrait * 0.18).astype(np.uint8)) == ["face_dark"]


def test_less_light_is_neither_dark_nor_blurred(finder: FaceFinder, portrait: NDArray[np.uint8]) -> None:
    assert told(finder, (portrait * 0.4).astype(np.uint8)) == []


def test_a_small_and_a_blurred_one(finder: FaceFinder, portrait: NDArray[np.uint8]) -> None:
    small = cv2.resize(portrait, (200, 200 * portrait.shape[0] // portrait.shape[1]), interpolation=cv2.INTER_AREA)
    assert "face_small" in told(finder, small)
    assert told(finder, cv2.GaussianBlur(portrait, (0, 0), 4)) == ["face_blurred"]


@pytest.mark.parametrize("colour", [(170, 200, 230), (20, 20, 20), (240, 240, 240)])
def test_a_mask(finder: FaceFinder, portrait: NDArray[np.uint8], face: Face, colour: tuple[int, int, int]) -> None:
    masked = portrait.copy()
    cv2.fillPoly(masked, [face.points[list(LOWER_FACE), :2].astype(np.int32)], colour)
    assert told(finder, masked) == ["mouth_covered"]


def test_a_dark_beard_around_pale_lips_covers_no_mouth(finder: FaceFinder, portrait: NDArray[np.uint8], face: Face) -> None:
    """As dark as its lips, but uneven."""
    bearded = portrait.copy()
    area = np.zeros(portrait.shape[:2], np.uint8)
    cv2.fillPoly(area, [face.points[list(LOWER_FACE), :2].astype(np.int32)], 1)
    hair = np.random.default_rng(0).normal(60, 40, (portrait.shape[0] // 3, portrait.shape[1] // 3))
    hair = cv2.resize(hair, portrait.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    bearded[area == 1] = np.clip(hair, 0, 255)[area == 1, None] * (1.0, 0.85, 0.75)
    assert "mouth_covered" not in told(finder, bearded)


def test_a_beard_covers_no_mouth(finder: FaceFinder, portrait: NDArray[np.uint8], face: Face) -> None:
    bearded = portrait.copy()
    cv2.fillPoly(bearded, [face.points[list(LOWER_FACE[:-1]) + [205, 2, 425], :2].astype(np.int32)], (40, 28, 22))
    lips = cv2.convexHull(face.points[[61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185], :2])
    mouth = np.zeros(portrait.shape[:2], np.uint8)
    cv2.fillPoly(mouth, [lips.astype(np.int32)], 1)
    bearded[mouth == 1] = portrait[mouth == 1]
    assert "mouth_covered" not in told(finder, bearded)
