"""Sizes of sources and outputs."""

from __future__ import annotations

from core.optimization.resolution_optimization import bounded, output_size, source_size
from core.types import Frame, RenderOptions
from tests.support.golden_io import check, load


def test_parity_source_sizes(astronaut: Frame) -> None:
    golden = load("load_image")
    for height, width, most, new_height, new_width, changed in golden["rows_h_w_max_newh_neww_flag"].tolist():
        if (height, width) == (1, 1):  # the published code makes it 0 x 0
            assert source_size(width, height, most) == (2, 2)
            continue
        assert source_size(width, height, most) == (new_width, new_height), (height, width, most)
        assert changed == int((new_width, new_height) != (width, height))
    check(golden, "load_astro377_320", bounded(astronaut[:, :377], 320), 0)
    assert bounded(astronaut, 512) is astronaut


def test_output_size_of_the_whole_source_is_the_source_size() -> None:
    for width, height in ((4000, 3000), (1033, 3708), (512, 512), (1921, 1080)):
        assert output_size(width, height, RenderOptions(size="source", max_size=1814)) == source_size(width, height, 1814)
