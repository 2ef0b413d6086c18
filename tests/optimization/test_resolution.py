"""Sizes of sources and outputs."""

from __future__ import annotations

import pytest

from core.optimization.resolution_optimization import Framed, bounded, framed, source_size
from core.picture_options import Crop
from core.request import RenderOptions
from core.types import Frame
from tests.support.golden_io import check, load


def mended(published: int) -> int:
    """A published side; where the published rounding leaves nothing of a thin source (0 pixels), ours keeps 2."""
    return 2 if published == 0 else published


def test_parity_source_sizes(astronaut: Frame) -> None:
    golden = load("load_image")
    for height, width, most, new_height, new_width, changed in golden["rows_h_w_max_newh_neww_flag"].tolist():
        assert source_size(width, height, most) == (mended(new_width), mended(new_height)), (height, width, most)
        assert changed == int((new_width, new_height) != (width, height))
    check(golden, "load_astro377_320", bounded(astronaut[:, :377], 320), 0)
    assert bounded(astronaut, 512) is astronaut


@pytest.mark.parametrize(
    ("width", "height", "most", "expected"),
    [
        (7, 3700, 500, (2, 500)),  # round(0.95) is 1, of which the published rounding makes 0
        (7, 3700, 250, (2, 250)),  # round(0.47) is 0 already
        (3700, 7, 500, (500, 2)),
        (1, 1, 1920, (2, 2)),
        (1, 4000, 1920, (2, 1920)),
        (640, 1, 0, (640, 2)),
        (512, 256, 1, (2, 2)),
        (7, 3700, 1000, (2, 1000)),  # round(1.89) is 2: nothing to mend
        (16, 3700, 1000, (4, 1000)),
    ],
)
def test_a_thin_source_keeps_two_pixels(width: int, height: int, most: int, expected: tuple[int, int]) -> None:
    assert source_size(width, height, most) == expected


FACE = (900.0, 500.0, 1300.0, 1100.0)
"""In a photo of 2000 x 3000."""


def shown(**options: object) -> Framed:
    return framed(2000, 3000, FACE, RenderOptions(**options))


def test_output_size_of_the_whole_source_is_the_source_size() -> None:
    for width, height in ((4000, 3000), (1033, 3708), (512, 512), (1921, 1080)):
        whole = framed(width, height, (100, 100, 300, 300), RenderOptions(size="source", max_size=1814))
        assert (whole.width, whole.height) == source_size(width, height, 1814)
        assert (whole.cut.width, whole.cut.height) == (width, height)


@pytest.mark.parametrize(
    ("aspect", "size", "expected"),
    [
        ("auto", 320, (320, 320)),
        ("1:1", 512, (512, 512)),
        ("9:16", 320, (320, 568)),
        ("9:16", 1080, (1080, 1920)),
        ("9:16", 1920, (1080, 1920)),  # the longer side has a bound
        ("16:9", 720, (1280, 720)),
        ("4:5", 320, (320, 400)),
        ("source", 320, (320, 480)),
        ("source", 1920, (1280, 1920)),
    ],
)
def test_size_is_the_shorter_side(aspect: str, size: int, expected: tuple[int, int]) -> None:
    picture = shown(aspect=aspect, size=size)
    assert (picture.width, picture.height) == expected
    assert not picture.moved
    assert picture.cut.width / picture.cut.height == pytest.approx(picture.width / picture.height, rel=0.01)
    x0, y0, x1, y1 = FACE
    assert picture.cut.x < x0 < x1 < picture.cut.x + picture.cut.width
    assert picture.cut.y < y0 < y1 < picture.cut.y + picture.cut.height


def test_a_crop_is_shown_as_it_is() -> None:
    picture = shown(crop=(0.25, 0.1, 0.5, 0.4), size=400)
    assert (picture.cut.x, picture.cut.y, picture.cut.width, picture.cut.height) == (500, 300, 1000, 1200)
    assert (picture.width, picture.height, picture.moved) == (400, 480, False)
    own = shown(crop=(0.25, 0.1, 0.5, 0.4), size="source")
    assert (own.width, own.height) == (1000, 1200)


def test_a_crop_is_cut_to_the_aspect_around_its_middle() -> None:
    picture = shown(crop=(0.25, 0.1, 0.5, 0.4), aspect="1:1")
    assert (picture.cut.x, picture.cut.y, picture.cut.width, picture.cut.height) == (500, 400, 1000, 1000)
    assert shown(crop=(0.25, 0.1, 0.5, 0.4), aspect="source").height == 480


@pytest.mark.parametrize(
    "crop",
    [(0.0, 0.6, 0.5, 0.4), (0.0, 0.0, 0.3, 0.1), (0.9, 0.9, 0.1, 0.1), (0.5, 0.3, 0.01, 0.7), (0.45, 0.16, 0.2, 0.206)],
)
@pytest.mark.parametrize("aspect", ["auto", "1:1", "9:16", "16:9", "source"])
def test_a_crop_without_the_face_is_moved_to_it(crop: Crop, aspect: str) -> None:
    picture = shown(crop=crop, aspect=aspect)
    x0, y0, x1, y1 = FACE
    assert picture.moved
    assert picture.warnings
    assert picture.cut.x <= x0
    assert picture.cut.y <= y0
    assert picture.cut.x + picture.cut.width >= x1 - 1e-6
    assert picture.cut.y + picture.cut.height >= y1 - 1e-6
    assert picture.width % 2 == picture.height % 2 == 0
    assert max(picture.width, picture.height) <= 1920


def test_a_face_at_the_edge_needs_no_room_beyond_it() -> None:
    picture = framed(400, 400, (-20.0, -10.0, 250.0, 300.0), RenderOptions(crop=(0.0, 0.0, 0.9, 0.9)))
    assert not picture.moved
