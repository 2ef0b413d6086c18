"""Photos of phones and others through the real decoders: HEIC, AVIF, TIFF, GIF, and JPEG of very many pixels."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from core.errors import ImageError
from core.media.image import load_image
from core.media.sniff import identify, plays
from core.media.source import load_source
from core.notices import notice
from core.settings import Settings
from core.types import Photo

SETTINGS = Settings()
CORNERS = {(20, 15): (200, 30, 30), (20, 60): (30, 200, 30), (80, 40): (30, 30, 200)}
UNDO = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


class CountedReads(io.BytesIO):
    n = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.n += 1
        return super().read(size)


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


@pytest.mark.parametrize("container", ["AVIF", "GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_picture_is_used_and_that_is_said(container: str) -> None:
    sink = io.BytesIO()
    picture().save(sink, container, save_all=True, append_images=[Image.new("RGB", (80, 100), "white")])
    photo = load_image(sink.getvalue(), SETTINGS)
    assert photo.warnings == (notice("photo_first_picture"),)
    for (y, x), colour in CORNERS.items():
        assert np.abs(photo.pixels[y, x].astype(int) - colour).max() <= 12


@pytest.mark.parametrize(
    ("container", "extra"), [("GIF", {}), ("TIFF", {}), ("TIFF", {"big_tiff": True}), ("TIFF", {"compression": "jpeg"})]
)
def test_a_gif_of_one_picture_and_a_tiff_are_photos(container: str, extra: dict[str, Any]) -> None:
    sink = io.BytesIO()
    picture().save(sink, container, **extra)
    photo = load_source(sink.getvalue(), SETTINGS)
    assert isinstance(photo, Photo)
    assert photo.warnings == ()
    for (y, x), colour in CORNERS.items():
        assert np.abs(photo.pixels[y, x].astype(int) - colour).max() <= 12


def test_a_raw_photo_of_a_camera_is_not_taken_for_its_thumbnail() -> None:
    sink = io.BytesIO()
    picture().save(sink, "TIFF", tiffinfo={254: 1, 330: 8})
    with pytest.raises(ImageError, match="a raw photo") as caught:
        load_image(sink.getvalue(), SETTINGS)
    assert caught.value.code == "photo_not_image"


@pytest.mark.parametrize("pieces", [b"," + bytes(9) + b"\x02" + b"\x01\x00" * 2_000_000, b"!\xfe\x00" * 2_000_000])
def test_a_gif_of_endless_small_pieces_is_judged_soon(pieces: bytes) -> None:
    """Each takes a step to pass over, also one with nothing in it."""
    read = CountedReads(b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + pieces)
    assert plays(read)
    assert read.n < 1_200_000


@pytest.mark.parametrize("comments", [b"!\xfe\x00" * 10_000, b"!\xfe" + b"\x01a" * 10_000 + b"\0"])
@pytest.mark.parametrize("first", [True, False])
def test_a_gif_of_endless_comments_is_refused(comments: bytes, first: bool) -> None:
    """The time to read them grows with the square of their number: 30 MiB would take an hour."""
    sink = io.BytesIO()
    picture().save(sink, "GIF")
    gif = sink.getvalue()
    at = 13 + (3 << (gif[10] & 7) + 1) if first else len(gif) - 1
    assert load_image(gif[:at] + comments[:32] + b"\0" + gif[at:], SETTINGS).pixels.shape == (100, 80, 3)
    with pytest.raises(ImageError) as caught:
        load_image(gif[:at] + comments + gif[at:], SETTINGS)
    assert caught.value.code == "photo_damaged"


@pytest.mark.parametrize(("progressive", "size", "shape"), [
    (False, (3000, 2000), (1000, 1500)), (True, (2400, 2000), (1000, 1200)), (False, (1000, 1000), (1000, 1000)),
])  # fmt: skip
def test_a_jpeg_of_more_pixels_than_are_accepted_is_read_at_a_reduced_scale(
    progressive: bool, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    """As phones of 64 to 200 megapixels make them; here the limit is 1.5."""
    settings = Settings(max_image_pixels=1_500_000)
    sink = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    picture().transpose(UNDO[3]).resize(size).save(sink, "JPEG", quality=90, progressive=progressive, exif=exif)
    pixels = load_image(sink.getvalue(), settings).pixels
    assert pixels.shape[:2] == shape
    assert pixels[shape[0] // 4, shape[1] // 4].argmax() == 0, "upright: red is top left"


@pytest.mark.parametrize(("container", "size"), [("PNG", (3000, 2000)), ("JPEG", (4000, 2000)), ("WEBP", (3000, 2000))])
def test_what_cannot_be_reduced_within_the_memory_stays_refused(container: str, size: tuple[int, int]) -> None:
    sink = io.BytesIO()
    picture().resize(size).save(sink, container)
    with pytest.raises(ImageError) as caught:
        load_image(sink.getvalue(), Settings(max_image_pixels=1_500_000))
    assert caught.value.code == "photo_too_large"


def test_a_progressive_jpeg_that_would_fill_the_memory_is_refused() -> None:
    """All its coefficients are in memory at once, whatever the scale."""
    sink = io.BytesIO()
    picture().resize((3000, 2000)).save(sink, "JPEG", progressive=True, subsampling=0)
    with pytest.raises(ImageError) as caught:
        load_image(sink.getvalue(), Settings(max_image_pixels=1_500_000))
    assert caught.value.code == "photo_too_large"


def test_a_jpeg_of_several_scans_that_would_fill_the_memory_is_refused() -> None:
    """Its coefficients are kept, too, though it is not progressive: here a scan for each colour, all of them zero."""

    def segment(marker: int, data: bytes) -> bytes:
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data

    colours = b"".join(bytes([colour, 0x11, 0]) for colour in (1, 2, 3))
    head = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([1]) * 64) + segment(0xC0, struct.pack(">BHHB", 8, 2000, 3000, 3) + colours)
    head += b"".join(segment(0xC4, bytes([table, 1]) + bytes(16)) for table in (0x00, 0x10))
    scans = b"".join(segment(0xDA, bytes([1, colour, 0, 0, 63, 0])) + bytes(250 * 375 // 4 + 1) for colour in (1, 2, 3))
    with pytest.raises(ImageError) as caught:
        load_image(head + scans + b"\xff\xd9", Settings(max_image_pixels=1_500_000))
    assert caught.value.code == "photo_too_large"
    assert load_image(head + scans + b"\xff\xd9", SETTINGS).pixels.shape == (2000, 3000, 3)


@pytest.mark.parametrize(("side", "refused"), [(80, False), (1008, True)])
def test_a_tiff_of_tiles_that_would_fill_the_memory_is_refused(side: int, refused: bool) -> None:
    """A tile is decoded whole, however small the picture that is cut out of it."""
    data = zlib.compress(bytes(side * side))
    tags = [(256, 72), (257, 72), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side), (324, 146), (325, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(12) + data
    settings = Settings(max_image_pixels=1_000_000)
    if refused:
        with pytest.raises(ImageError) as caught:
            load_image(tiff, settings)
        assert caught.value.code == "photo_damaged"
    else:
        assert load_image(tiff, settings).pixels.shape == (72, 72, 3)


def test_of_several_pictures_the_first_is_the_photo() -> None:
    several = pillow_heif.from_pillow(picture())
    several.add_from_pillow(Image.new("RGB", (200, 200), "white"))
    sink = io.BytesIO()
    several.save(sink, quality=95)
    assert load_image(sink.getvalue(), SETTINGS).pixels.shape == (100, 80, 3)
