"""HEIC and AVIF photos through the real decoders."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from core.errors import ImageError
from core.media.image import load_image
from core.media.sniff import identify
from core.settings import Settings

SETTINGS = Settings()
CORNERS = {(20, 15): (200, 30, 30), (20, 60): (30, 200, 30), (80, 40): (30, 30, 200)}
UNDO = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def picture() -> Image.Image:
    """80 wide, 100 high: red top left, green top right, blue below."""
    pixels = np.full((100, 80, 3), (30, 30, 200), np.uint8)
    pixels[:50, :40] = (200, 30, 30)
    pixels[:50, 40:] = (30, 200, 30)
    return Image.fromarray(pixels)


def saved(image: Image.Image, container: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    if container == "AVIF":
        image.save(sink, "AVIF", **options)
    else:
        pillow_heif.from_pillow(image).save(sink, **options)
    return sink.getvalue()


def renamed(data: bytes, brand: bytes) -> bytes:
    return data[:8] + brand + data[12:]


def resized(data: bytes, width: int, height: int) -> bytes:
    """With another size in the header; the picture itself as it was."""
    at = data.index(b"ispe")
    return data[: at + 8] + struct.pack(">II", width, height) + data[at + 16 :]


@pytest.mark.parametrize("container", ["AVIF", "HEIF"])
def test_a_photo_of_a_phone_is_decoded(container: str) -> None:
    pixels = load_image(saved(picture(), container, quality=95), SETTINGS).pixels
    assert pixels.shape == (100, 80, 3)
    assert pixels.dtype == np.uint8
    for (y, x), colour in CORNERS.items():
        assert np.abs(pixels[y, x].astype(int) - colour).max() <= 8


@pytest.mark.parametrize("container", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_it_is_upright(container: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = picture().transpose(UNDO[orientation])
    pixels = load_image(saved(turned, container, quality=95, exif=exif.tobytes()), SETTINGS).pixels
    assert pixels.shape == (100, 80, 3)
    for (y, x), colour in CORNERS.items():
        assert np.abs(pixels[y, x].astype(int) - colour).max() <= 12


def test_the_kind_is_told_from_all_brands() -> None:
    avif, heic = saved(picture(), "AVIF"), saved(picture(), "HEIF")
    assert identify(avif).decoder == identify(renamed(avif, b"mif1")).decoder == "AVIF"
    assert identify(heic).decoder == identify(renamed(heic, b"mif1")).decoder == "HEIF"
    assert load_image(renamed(avif, b"mif1"), SETTINGS).pixels.shape == (100, 80, 3)
    assert load_image(renamed(heic, b"mif1"), SETTINGS).pixels.shape == (100, 80, 3)


@pytest.mark.parametrize("container", ["AVIF", "HEIF"])
def test_the_size_is_checked_before_decoding(container: str) -> None:
    """Nothing of these could be decoded."""
    data = resized(saved(picture(), container), 9000, 9000)
    with pytest.raises(ImageError, match="9000×9000"):
        load_image(data[: len(data) - 40], SETTINGS)
    with pytest.raises(ImageError, match="cannot be decoded|80×100"):
        load_image(saved(picture(), container)[:-40], SETTINGS)


def test_a_heic_photo_that_is_larger_than_it_says_is_not_decoded() -> None:
    large = saved(Image.new("RGB", (2000, 2000), "red"), "HEIF", quality=10)
    with pytest.raises(ImageError, match="cannot be decoded"):
        load_image(resized(large, 100, 100), SETTINGS)


def test_an_animation_is_no_photo() -> None:
    frames = [Image.new("RGB", (100, 100), colour) for colour in ("red", "blue")]
    with pytest.raises(ImageError, match="animation"):
        load_image(saved(frames[0], "AVIF", save_all=True, append_images=frames[1:]), SETTINGS)


def test_of_several_pictures_the_first_is_the_photo() -> None:
    several = pillow_heif.from_pillow(picture())
    several.add_from_pillow(Image.new("RGB", (200, 200), "white"))
    sink = io.BytesIO()
    several.save(sink, quality=95)
    assert load_image(sink.getvalue(), SETTINGS).pixels.shape == (100, 80, 3)
