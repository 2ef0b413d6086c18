"""Sizes of sources and outputs."""

from __future__ import annotations

import pytest

from core.optimization.resolution_optimization import bounded, output_size, source_size
from core.types import Frame, RenderOptions
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


def test_output_size_of_the_whole_source_is_the_source_size() -> None:
    for width, height in ((4000, 3000), (1033, 3708), (512, 512), (1921, 1080)):
        assert output_size(width, height, RenderOptions(size="source", max_size=1814)) == source_size(width, height, 1814)
