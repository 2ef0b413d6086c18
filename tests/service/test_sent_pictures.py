"""Pictures within a message: any picture becomes a small square file."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from core.errors import ImageError
from core.service.sent_pictures import MAX_PICTURE_BYTES, background_of, square_file
from core.settings import Settings
from core.types import Photo


@pytest.mark.parametrize("shape", [(64, 64), (2000, 3000), (64, 1900)])
def test_any_picture_can_be_sent(shape: tuple[int, int]) -> None:
    """Noise is what JPEG makes the largest files of."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    data = square_file(Photo(noise, "noise"))
    assert len(data) <= MAX_PICTURE_BYTES
    height, width = background_of(data, Settings()).pixels.shape[:2]
    assert width == height >= 256


def test_its_middle_is_kept_in_colour() -> None:
    pixels = np.zeros((300, 900, 3), np.uint8)
    pixels[:, 300:600] = (200, 30, 40)
    shown = background_of(square_file(Photo(pixels, "stripes")), Settings()).pixels
    assert np.abs(shown[:, 20:-20].astype(int) - (200, 30, 40)).max() < 12


def test_a_small_file_of_many_pixels_is_refused() -> None:
    """A live session would hold them as long as it lasts."""
    file = cv2.imencode(".png", np.zeros((2100, 2100, 3), np.uint8))[1].tobytes()
    assert len(file) <= MAX_PICTURE_BYTES
    with pytest.raises(ImageError) as caught:
        background_of(file, Settings())
    assert caught.value.code == "photo_too_large"
