"""Small files whose parts would cost minutes or gigabytes: directories of TIFF and EXIF, scans and segments of JPEG, chunks of PNG."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from fractions import Fraction

import av
import pytest
from PIL import Image

from core.errors import ImageError
from core.media.image import load_image
from core.media.picture_parts import MOST_CHUNKS, MOST_SCANS, MOST_SEGMENTS
from core.media.source import load_source
from core.settings import Settings

SETTINGS = Settings()
SIDE = 64
MEGABYTE = 2**20


def tiff(n_entries: int, kind: int = 4, upside_down: bool = False) -> bytes:
    """A grey picture, in whose directory so many entries are the same megabyte. kind: type of its numbers, of 8 bytes at most."""
    picture = bytes(SIDE * SIDE)
    begin = [(256, 4, 1, SIDE), (257, 4, 1, SIDE), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    begin += [(274, 3, 1, 3 if upside_down else 1), (277, 3, 1, 1), (278, 4, 1, SIDE), (279, 4, 1, SIDE * SIDE)]
    unit = {2: 1, 3: 2, 4: 4}.get(kind, 8)
    same = [(34_000 + i, kind, MEGABYTE // unit, 8 + len(picture)) for i in range(n_entries)]
    entries = b"".join(struct.pack("<HHII", *entry) for entry in begin + same)
    at = 8 + len(picture) + MEGABYTE
    return b"II*\0" + struct.pack("<I", at) + picture + bytes(MEGABYTE) + struct.pack("<H", len(begin + same)) + entries + bytes(4)


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def saved(container: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (200, 30, 30)).save(sink, container)
    return sink.getvalue()


def scanned(n_scans: int) -> bytes:
    """A progressive JPEG, grey, of one scan of means and so many that say nothing more of any pixel."""
    frame = segment(0xC2, struct.pack(">BHHB", 8, SIDE, SIDE, 1) + bytes([1, 0x11, 0]))
    tables = segment(0xDB, bytes([0]) + b"\1" * 64) + b"".join(
        segment(0xC4, bytes([which, 1, *[0] * 15, symbol])) for which, symbol in ((0, 0), (0x10, 0xE0))
    )
    means = segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(SIDE * SIDE // 64 // 8)
    rest = segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + b"\x7f\xff\0"
    return b"\xff\xd8" + frame + tables + means + rest * n_scans + b"\xff\xd9"


def in_jpeg(exif: bytes) -> bytes:
    pieces = [exif[at : at + 65_000] for at in range(0, len(exif), 65_000)]
    jpeg = saved("JPEG")
    return jpeg[:2] + b"".join(segment(0xE1, b"Exif\0\0" + piece) for piece in pieces) + jpeg[2:]


def in_png(exif: bytes) -> bytes:
    png = saved("PNG")
    return png[:33] + chunk(b"eXIf", exif) + png[33:]


def refused(data: bytes) -> bool:
    """As damaged; else it is a photo."""
    try:
        return not load_image(data, SETTINGS).pixels.size
    except ImageError as error:
        return error.code == "photo_damaged"


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 17])
def test_a_tiff_whose_entries_are_all_the_same_megabyte_is_refused(kind: int) -> None:
    """17 is a type that Pillow passes over and libtiff reads."""
    assert refused(tiff(100, kind))


def test_a_tiff_of_large_entries_is_a_photo() -> None:
    """As editors write them: layers, profiles, thumbnails; some share a number."""
    assert not refused(tiff(1, 2))


@pytest.mark.parametrize("within", [in_jpeg, in_png])
@pytest.mark.parametrize("kind", [2, 5])
def test_such_an_exif_block_takes_no_memory(within: Callable[[bytes], bytes], kind: int) -> None:
    """The photo is shown as if it had none."""
    photo = within(tiff(100, kind, upside_down=True))
    tracemalloc.start()
    try:
        assert not refused(photo)
        assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("n_scans", "too_many"), [(MOST_SCANS - 1, False), (MOST_SCANS, True)])
def test_scans_of_a_jpeg_are_counted(n_scans: int, too_many: bool) -> None:
    """Each goes over all pixels, and takes 80 bytes of the file however many these are."""
    assert refused(scanned(n_scans)) == too_many


def test_what_follows_a_jpeg_is_not_counted() -> None:
    """Phones put further pictures and a film behind the photo."""
    assert not refused(saved("JPEG") + scanned(MOST_SCANS))


def test_a_picture_of_a_motion_jpeg_has_no_more_scans() -> None:
    """It is looked at before FFmpeg may decode it, which has no limit and cannot be interrupted."""

    def film(n_scans: int) -> bytes:
        sink = io.BytesIO()
        with av.open(sink, "w", format="avi") as container:
            stream = container.add_stream("mjpeg", rate=25, width=SIDE, height=SIDE, pix_fmt="yuvj420p")
            for n in range(3):
                packet = av.Packet(scanned(n_scans))
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, n, n, Fraction(1, 25)
                container.mux(packet)
        return sink.getvalue()

    load_source(film(1), SETTINGS)
    with pytest.raises(ImageError, match="too many parts"):
        load_source(film(MOST_SCANS), SETTINGS)


@pytest.mark.parametrize(("n_segments", "too_many"), [(MOST_SEGMENTS // 2, False), (MOST_SEGMENTS, True)])
def test_segments_of_a_jpeg_are_counted(n_segments: int, too_many: bool) -> None:
    """The time to join those of EXIF grows with the square of their number."""
    jpeg = saved("JPEG")
    assert refused(jpeg[:2] + segment(0xE1, b"Exif\0\0a") * n_segments + jpeg[2:]) == too_many


def test_bytes_between_segments_are_counted() -> None:
    jpeg = saved("JPEG")
    assert not refused(jpeg[:2] + b"\xff" * 100 + jpeg[2:])
    assert refused(jpeg[:2] + b"\xff" * 2_000_000 + jpeg[2:])


@pytest.mark.parametrize(("n_chunks", "too_many"), [(1000, False), (MOST_CHUNKS, True)])
def test_chunks_of_a_png_are_counted(n_chunks: int, too_many: bool) -> None:
    png = saved("PNG")
    assert refused(png[:33] + chunk(b"tEXt", b"a\0b") * n_chunks + png[33:]) == too_many
