"""What is set for a visitor who has chosen nothing: upright videos on a phone, which take no longer than square ones."""

from __future__ import annotations

import pytest

from core.web.pages.tabs.controls import first_choice


@pytest.mark.parametrize(("size_px", "shorter"), [(512, 384), (768, 576), (320, 320), (256, 256)])
def test_an_upright_video_has_the_pixels_of_a_square_one_or_the_least_that_is_sharp(size_px: int, shorter: int) -> None:
    assert first_choice(size_px, phone=False) == {"controls": {"size": str(size_px)}}
    assert first_choice(size_px, phone=True) == {"controls": {"size": str(shorter), "aspect": "9:16"}}
