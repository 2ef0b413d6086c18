"""Photos in which the person lies on the side or stands on the head: turned upright, and told; a tilted head stays."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.aux_models.face_finder import FaceFinder
from core.aux_models.mesh_detector import MeshDetector
from core.aux_models.upright import turned, upright
from core.engines.lite import LiteEngine
from core.media.image import load_image
from core.notices import notice
from core.request import Framing, RenderOptions
from core.settings import Settings
from core.types import Photo
from tests.support.paths import ASSETS

TURNED = notice("photo_turned")


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def lying(quarters: int, name: str = "portrait.png") -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.rot90(load_image(ASSETS / name, Settings()).pixels, quarters))


@pytest.mark.parametrize("name", ["portrait.png", "examples/painting.jpg", "examples/drawing.png"])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_who_lies_or_stands_on_the_head_is_turned_upright(finder: FaceFinder, name: str, quarters: int) -> None:
    """The detector finds the drawing only once it is turned."""
    found = upright(lying(quarters, name), finder.find)
    assert found.warnings == ((TURNED,) if quarters else ())
    np.testing.assert_array_equal(found.pixels, lying(0, name))
    assert abs(found.faces[0].roll_deg) < 10


@pytest.mark.parametrize("degrees", [-70, -20, 0, 35, 80])
def test_landmarks_tell_the_same_roll_as_the_mesh(finder: FaceFinder, degrees: int) -> None:
    pixels = lying(0)
    side = len(pixels)
    rolled = cv2.warpAffine(pixels, cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 0.7), (side, side))
    assert MeshDetector(finder)(rolled)[0].roll_deg == pytest.approx(finder.find(rolled)[0].roll_deg, abs=8)


@pytest.mark.parametrize("degrees", [-42, 42])
def test_a_tilted_head_stays_as_it_is(finder: FaceFinder, degrees: int) -> None:
    pixels = lying(0)
    side = len(pixels)
    to = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 0.7)
    tilted = cv2.warpAffine(pixels, to, (side, side), borderMode=cv2.BORDER_REPLICATE)
    found = upright(tilted, finder.find)
    assert (found.quarters, found.pixels is tilted) == (0, True)


def test_where_nobody_is_nothing_is_turned(finder: FaceFinder) -> None:
    empty = np.full((300, 400, 3), 90, np.uint8)
    found = upright(empty, finder.find)
    assert (found.faces, found.pixels is empty) == ([], True)


def test_a_part_is_told_in_the_photo_as_it_was_given() -> None:
    part = 0.1, 0.2, 0.3, 0.4
    assert turned(part, 1) == pytest.approx((0.2, 0.6, 0.4, 0.3))
    for quarters in range(4):
        assert turned(turned(part, quarters), -quarters) == pytest.approx(part)


def test_video_preview_and_crop_agree(lite: LiteEngine) -> None:
    """A crop is chosen on the photo as it was given; an avatar that is kept still knows."""
    plain, sideways = Photo(lying(0), "a"), Photo(lying(1), "b")
    upright_face, lying_face = lite.faces(plain)[0], lite.faces(sideways)[0]
    assert lying_face.warnings == (TURNED, *upright_face.warnings)
    np.testing.assert_array_equal(lying_face.cut, upright_face.cut)
    assert lying_face.place == pytest.approx(turned(upright_face.place, 1))
    assert lying_face.parts["9:16"] == pytest.approx(turned(upright_face.parts["9:16"], 1))
    crop = 0.1, 0.0, 0.8, 0.9
    registered = lite.register(sideways, Framing())
    assert TURNED in registered.warnings
    wanted = lite.register(plain, Framing()).framed(RenderOptions(crop=crop))  # type: ignore[union-attr]
    kept = lite.restore(lite.save(registered), lambda: sideways)
    for each in (registered, kept):
        cut = each.framed(RenderOptions(crop=turned(crop, 1))).cut  # type: ignore[union-attr]
        assert dataclasses.astuple(cut) == pytest.approx(dataclasses.astuple(wanted.cut))


def test_a_frame_of_a_video_is_shown_as_it_is(lite: LiteEngine) -> None:
    assert lite.faces(Photo(lying(1), "b"), of_video=True)[0].warnings.count(TURNED) == 0
