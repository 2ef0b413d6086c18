"""Which faces are found: small ones in large photos, and none in what only looks like one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.aux_models import face_finder
from core.aux_models.face_candidates import Candidate
from core.aux_models.face_finder import MOST_MISSED, FaceFinder
from core.aux_models.face_mesh import Face, Landmarker
from core.media.image import load_image
from core.settings import Settings
from tests.support.paths import ASSETS, PORTRAIT, ROOT

FOUND_PX = 36
"""Between the eyes; the face has 100 pixels."""
FACE_AT = (136, 75)
"""The middle of the face in the portrait, at a size of 310 pixels."""


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    return load_image(PORTRAIT, Settings()).pixels


def on(ground: NDArray[np.uint8], portrait: NDArray[np.uint8], side: int, x: int, y: int) -> NDArray[np.uint8]:
    ground[y : y + side, x : x + side] = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
    return ground


def room(width: int, height: int) -> NDArray[np.uint8]:
    """A wall, a floor, and things in it."""
    shown = np.full((height, width, 3), (150, 140, 120), np.uint8)
    shown[height * 2 // 3 :] = (90, 70, 60)
    for n in range(12):
        left, top = n * width // 12, (n * 7 % 12) * height // 14
        cv2.rectangle(shown, (left, top), (left + width // 20, top + height // 9), (40 + 15 * n, 200 - 12 * n, 90), -1)
    return shown


@pytest.mark.parametrize(
    ("size", "at"), [((1920, 1080), (1500, 600)), ((4000, 3000), (1000, 900)), ((3000, 4000), (123, 3450)), ((4000, 3000), (0, 0))]
)
def test_a_small_face_is_found_anywhere_in_a_large_photo(
    finder: FaceFinder, portrait: NDArray[np.uint8], size: tuple[int, int], at: tuple[int, int]
) -> None:
    side = 310
    faces = finder.find(on(room(*size), portrait, side, *at))
    assert len(faces) == 1
    assert faces[0].interocular_px == pytest.approx(FOUND_PX, abs=2)
    assert np.abs(faces[0].points[:, :2].mean(axis=0) - at - FACE_AT).max() < 4


def colour_wheel() -> NDArray[np.uint8]:
    return load_image(ROOT / "tests/data/colour_wheel.jpg", Settings()).pixels


def test_what_only_looks_like_a_face_is_none(finder: FaceFinder) -> None:
    """The detector sees a large one in the wheel."""
    assert finder.detect(colour_wheel())
    assert finder.find(colour_wheel()) == []


def test_a_small_face_beside_what_only_looks_like_one_is_found(finder: FaceFinder, portrait: NDArray[np.uint8]) -> None:
    """What was seen in the whole picture is no reason to look no closer."""
    shown = on(cv2.resize(colour_wheel(), (1200, 1200)), portrait, 310, 850, 850)
    assert [round(face.interocular_px) for face in finder.find(shown)] == [pytest.approx(FOUND_PX, abs=2)]


def test_texture_with_hundreds_of_likely_places_is_looked_at_in_few(
    finder: FaceFinder, portrait: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A real face is likelier than they are once it is looked at more closely, and found."""
    blobs = np.random.default_rng(0).integers(0, 255, (75, 100, 3), dtype=np.uint8)
    ground = cv2.resize(blobs, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    looked, look = [], FaceFinder._at

    def counted(self: FaceFinder, pixels: NDArray[np.uint8], candidate: Candidate) -> Face | None:
        looked.append(candidate)
        return look(self, pixels, candidate)

    monkeypatch.setattr(FaceFinder, "_at", counted)
    assert finder.find(ground) == []
    shown = list(finder._candidates.search(ground))
    assert max(map(len, shown)) > MOST_MISSED
    assert len(looked) <= MOST_MISSED * len(shown)
    assert [round(face.interocular_px) for face in finder.find(on(ground, portrait, 310, 2000, 900))] == [pytest.approx(FOUND_PX, abs=2)]


@pytest.mark.parametrize("name", ["portrait.png", "examples/painting.jpg", "examples/drawing.png"])
@pytest.mark.parametrize("degrees", [0, 25, -40])
def test_faces_of_photos_paintings_and_drawings_are_found_turned_blurred_and_dark(finder: FaceFinder, name: str, degrees: int) -> None:
    pixels = load_image(ASSETS / name, Settings()).pixels
    height, width = pixels.shape[:2]
    to = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
    turned = cv2.warpAffine(pixels, to, (width, height), borderValue=(128, 128, 128))
    for shown in (turned, cv2.GaussianBlur(turned, (0, 0), width / 250), (turned * 0.3).astype(np.uint8)):
        faces = finder.find(shown)
        assert len(faces) == 1
        assert abs(faces[0].roll_deg - degrees) < 15


def test_of_hundreds_of_faces_some_are_looked_at(finder: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked at six times: a picture of faces alone would take minutes."""
    painting = load_image(ASSETS / "examples" / "painting.jpg", Settings()).pixels
    x0, y0, x1, y1 = finder.detect(painting)[0].box
    half, x, y = round(0.75 * max(x1 - x0, y1 - y0)), round((x0 + x1) / 2), round((y0 + y1) / 2)
    face = painting[max(0, y - half) : y + half, max(0, x - half) : x + half]
    crowd = np.tile(cv2.resize(face, (100, 100), interpolation=cv2.INTER_AREA), (14, 14, 1))
    looks = list[int]()
    look = Landmarker.__call__
    monkeypatch.setattr(Landmarker, "__call__", lambda self, pixels: (looks.append(1), look(self, pixels))[1])
    monkeypatch.setattr(face_finder, "MOST_SMALL", 6)
    assert 3 <= len(finder.find(crowd)) <= 6
    assert len(looks) < 80
