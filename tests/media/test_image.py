"""Photos through the real decoders: every mode, every bad input of the first issue."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from core.errors import ImageError
from core.media.image import BACKGROUND_RGB, load_image
from core.settings import Settings
from tests.support.paths import ASSETS

SETTINGS = Settings()


def picture() -> Image.Image:
    """80 wide, 100 high: red top left, green top right, blue below."""
    pixels = np.zeros((100, 80, 3), np.uint8)
    pixels[:50, :40] = (200, 30, 30)
    pixels[:50, 40:] = (30, 200, 30)
    pixels[50:] = (30, 30, 200)
    return Image.fromarray(pixels)


def saved(image: Image.Image, container: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, container, **options)
    return sink.getvalue()


def assert_is_picture(pixels: NDArray[np.uint8], tolerance: int = 0) -> None:
    assert pixels.dtype == np.uint8
    assert pixels.shape == (100, 80, 3)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    for (y, x), colour in {(20, 15): (200, 30, 30), (20, 60): (30, 200, 30), (80, 40): (30, 30, 200)}.items():
        assert np.abs(pixels[y, x].astype(int) - colour).max() <= tolerance, (y, x, pixels[y, x])


@pytest.mark.parametrize(
    ("container", "options", "tolerance"),
    [("PNG", {}, 0), ("BMP", {}, 0), ("WEBP", {"lossless": True}, 0), ("WEBP", {"quality": 95}, 8), ("JPEG", {"quality": 95}, 4)],
)
def test_formats(tmp_path: Path, container: str, options: dict[str, Any], tolerance: int) -> None:
    path = tmp_path / "photo.xyz"  # the name does not matter
    path.write_bytes(saved(picture(), container, **options))
    photo = load_image(path, SETTINGS)
    assert_is_picture(photo.pixels, tolerance)
    assert photo.warnings == ()
    from_bytes = load_image(path.read_bytes(), SETTINGS)
    assert np.array_equal(from_bytes.pixels, photo.pixels)
    assert from_bytes.sha256 == photo.sha256
    assert len(photo.sha256) == 64


def test_shipped_portrait() -> None:
    pixels = load_image(ASSETS / "portrait.png", SETTINGS).pixels
    assert min(pixels.shape[:2]) >= 320


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation(container: str, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = picture().transpose(undo[orientation]) if orientation in undo else picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_is_picture(load_image(saved(stored, container, exif=exif.tobytes()), SETTINGS).pixels, 12)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_broken_exif_is_no_reason_to_refuse() -> None:
    data = saved(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20), quality=95)
    assert_is_picture(load_image(data, SETTINGS).pixels, 4)


def test_transparency_is_composited() -> None:
    image = picture().convert("RGBA")
    alpha = np.full((100, 80), 255, np.uint8)
    alpha[:50, :40] = 0
    alpha[:50, 40:] = 128
    image.putalpha(Image.fromarray(alpha))
    for container, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        pixels = load_image(saved(image, container, **options), SETTINGS).pixels
        assert tuple(pixels[20, 15]) == BACKGROUND_RGB
        assert np.abs(pixels[20, 60].astype(int) - (np.array([30, 200, 30]) * 128 + np.array(BACKGROUND_RGB) * 127) / 255).max() <= 1
        assert tuple(pixels[80, 40]) == (30, 30, 200)


def test_palette_with_and_without_transparency() -> None:
    image = picture().quantize(8)
    assert_is_picture(load_image(saved(image, "PNG"), SETTINGS).pixels, 2)
    index = image.getpixel((15, 20))
    pixels = load_image(saved(image, "PNG", transparency=index), SETTINGS).pixels
    assert tuple(pixels[20, 15]) == BACKGROUND_RGB


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey(mode: str) -> None:
    grey = np.full((100, 80), 255, np.uint8)
    grey[:, :40] = 0
    pixels = load_image(saved(Image.fromarray(grey).convert(mode), "PNG"), SETTINGS).pixels
    assert tuple(pixels[50, 10]) == (0, 0, 0)
    assert tuple(pixels[50, 70]) == (255, 255, 255)


def test_16_bit_grey() -> None:
    """Pillow's own conversion cuts everything above 255 off: such photos came out white."""
    grey = np.full((100, 80), 40_000, np.uint16)
    grey[:, :40] = 1_000
    pixels = load_image(saved(Image.fromarray(grey), "PNG"), SETTINGS).pixels
    assert tuple(pixels[50, 10]) == (3, 3, 3)
    assert tuple(pixels[50, 70]) == (156, 156, 156)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def test_16_bit_colour() -> None:
    rows = np.zeros((100, 1 + 80 * 6), np.uint8)
    rows[:, 1:] = np.tile(np.array([200, 7, 100, 7, 50, 7], np.uint8), 80)
    data = png_header(80, 100, 16) + png_chunk(b"IDAT", zlib.compress(rows.tobytes())) + png_chunk(b"IEND", b"")
    assert tuple(load_image(data, SETTINGS).pixels[50, 50]) == (200, 100, 50)


def test_cmyk() -> None:
    cmyk = Image.new("CMYK", (80, 100), (0, 255, 255, 0))
    pixels = load_image(saved(cmyk, "JPEG", quality=95), SETTINGS).pixels
    assert np.abs(pixels[50, 50].astype(int) - (255, 0, 0)).max() <= 4


def test_colour_profile_is_converted() -> None:
    """A profile with swapped primaries cannot be overlooked; a broken one is left aside."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    at = {name: srgb.index(name) for name in (b"rXYZ", b"gXYZ")}  # tags of the profile's directory: red and green change places
    swapped = bytearray(srgb)
    swapped[at[b"rXYZ"] : at[b"rXYZ"] + 4], swapped[at[b"gXYZ"] : at[b"gXYZ"] + 4] = b"gXYZ", b"rXYZ"
    swapped = bytearray(bytes(swapped).replace(b"s\0R\0G\0B", b"o\0t\0h\0r").replace(b"sRGB", b"othr"))
    pixels = load_image(saved(picture(), "PNG", icc_profile=bytes(swapped)), SETTINGS).pixels
    assert pixels[20, 15].argmax() == 1  # what was red is green
    assert pixels[20, 60].argmax() == 0
    for profile in (srgb, lab, b"no profile at all", srgb[:200]):
        assert_is_picture(load_image(saved(picture(), "PNG", icc_profile=profile), SETTINGS).pixels)


@pytest.mark.parametrize("container", ["PNG", "JPEG"])
def test_many_pixels_are_refused_before_decoding(container: str) -> None:
    if container == "PNG":
        data = png_header(60000, 60000) + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    else:
        data = saved(picture(), "JPEG")
        at = data.index(b"\xff\xc0") + 5
        data = data[:at] + struct.pack(">HH", 60000, 60000) + data[at + 4 :]
    began = time.process_time()
    with pytest.raises(ImageError, match="60000×60000"):
        load_image(data, SETTINGS)
    assert time.process_time() - began < 0.5  # decoding would take minutes and 10 GB


@pytest.mark.parametrize(
    "header",
    [
        b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3e\x00\xff\x3e\x00",  # 16128 squared
        b"VP8L" + struct.pack("<I", 9) + b"\x2f" + struct.pack("<I", 16127 | 16127 << 14) + bytes(4),
        b"VP8 " + struct.pack("<I", 20) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16128, 16128) + bytes(10),
    ],
)
def test_webp_canvas_is_judged_before_its_parser_runs(header: bytes) -> None:
    data = b"RIFF" + struct.pack("<I", 4 + len(header)) + b"WEBP" + header
    with pytest.raises(ImageError, match="16128×16128"):
        load_image(data, SETTINGS)


@pytest.mark.parametrize("container", ["PNG", "JPEG", "WEBP", "BMP"])
def test_the_limit_is_ours_alone(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow has a limit of its own (89 million pixels, lowered here); a deployment that allows more must not meet it."""
    data = saved(picture(), container)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    load_image(data, SETTINGS)


def test_small_images() -> None:
    with pytest.raises(ImageError, match="16×16"):
        load_image(saved(Image.new("RGB", (16, 16)), "PNG"), SETTINGS)
    with pytest.raises(ImageError, match="500×20"):
        load_image(saved(Image.new("RGB", (500, 20)), "PNG"), SETTINGS)
    with pytest.raises(ImageError, match="16×16"):
        load_image(np.zeros((16, 16, 3), np.uint8), SETTINGS)


@pytest.mark.parametrize("container", ["PNG", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated(container: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    data = saved(noise, container)
    with pytest.raises(ImageError, match="cannot be decoded|unknown kind") as caught:
        load_image(data[: max(int(len(data) * share), 10)], SETTINGS)
    assert caught.value.hint


def animated(container: str) -> bytes:
    frames = [Image.new("RGB", (100, 100), colour) for colour in ("red", "blue")]
    return saved(frames[0], container, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"A text, renamed to photo.png\n", "a text file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a text file"),
        (b"%PDF-1.7\n\x93\x8c", "a PDF document"),
        (bytes(range(128, 256)) * 50, "unknown kind"),
        ((ASSETS / "speech_3s.wav").read_bytes(), "this is a recording"),
        (b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"\xff\xfb\x90\x64" + bytes(400), "this is a recording"),
        (b"\0\0\0\x20ftypisom" + bytes(100), "this is a recording"),
        (b"8BPS" + bytes(100), "a Photoshop image, which is not supported"),
        (b"\0\0\0\x1cftypheic" + bytes(100), "looks like a HEIC image but cannot"),
        (b"\0\0\0\x1cftypavif" + bytes(100), "looks like an AVIF image but cannot"),
    ],
)
def test_unusable_files(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=text) as caught:
        load_image(path, SETTINGS)
    assert caught.value.hint
    assert "photo.png" in str(caught.value)
    with pytest.raises(ImageError, match=text):
        load_image(data, SETTINGS)


def test_missing_file_folder_device_and_size(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nobody\.png does not exist"):
        load_image(tmp_path / "nobody.png", SETTINGS)
    with pytest.raises(ImageError, match="is a folder"):
        load_image(str(tmp_path), SETTINGS)
    with pytest.raises(ImageError, match="not a regular file"):
        load_image("/dev/zero", SETTINGS)
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ImageError, match="MiB"):
        load_image(tmp_path / "huge.png", SETTINGS)
    with pytest.raises(ImageError, match="MiB"):
        load_image(bytes(2000), Settings(max_image_bytes=1000))


def test_arrays() -> None:
    pixels = np.asarray(picture())
    assert_is_picture(load_image(pixels, SETTINGS).pixels)
    assert load_image(pixels, SETTINGS).pixels is not pixels
    assert_is_picture(load_image(np.dstack([pixels, np.full((100, 80), 255, np.uint8)]), SETTINGS).pixels)
    assert_is_picture(load_image(pixels.astype(np.uint16) << 8, SETTINGS).pixels)
    assert_is_picture(load_image(pixels / np.float32(255), SETTINGS).pixels)
    assert load_image(pixels[:, :, 0], SETTINGS).pixels.shape == (100, 80, 3)
    assert load_image(pixels[::-1], SETTINGS).sha256 != load_image(pixels, SETTINGS).sha256
    assert load_image(pixels.copy(), SETTINGS).sha256 == load_image(pixels, SETTINGS).sha256


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((100, 100, 2), np.uint8), "shape"),
        (np.zeros((2, 100, 100, 3), np.uint8), "shape"),
        (np.zeros((0, 100, 3), np.uint8), "shape"),
        (np.zeros((100, 100, 3), np.int32), "int32"),
        (np.full((100, 100, 3), 255.0), "between 0 and 1"),
        (np.full((100, 100, 3), np.nan), "between 0 and 1"),
        (np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (60000, 60000, 3)), "60000×60000"),
    ],
)
def test_unusable_arrays(array: NDArray[Any], text: str) -> None:
    with pytest.raises(ImageError, match=text):
        load_image(array, SETTINGS)
