"""Tells the type of a file from its first bytes, never from its name.

The demuxer or image decoder that later runs is chosen here, from a short list: a hostile upload cannot reach the rest of
FFmpeg's and Pillow's parsers, nor a playlist format that would open other files.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

HEAD_BYTES = 4096
"""Enough of the beginning to tell."""

Kind = Literal["sound", "image", "animation", "other"]


@dataclass(frozen=True)
class Content:
    """kind: what it is good for ("sound" also covers video containers; an animation is a video that has no sound). name: for people, with
    article. decoder: FFmpeg demuxer (sound, animation) or Pillow format (image); "" when it is known but not supported.
    """

    kind: Kind
    name: str
    decoder: str = ""


_MAGIC: tuple[tuple[bytes, Content], ...] = (
    (b"fLaC", Content("sound", "a FLAC recording", "flac")),
    (b"OggS", Content("sound", "an Ogg recording", "ogg")),
    (b"\x1aE\xdf\xa3", Content("sound", "a WebM or Matroska file", "matroska")),
    (b"FLV\x01", Content("sound", "an FLV video", "flv")),
    (b"\0\0\x01\xba", Content("sound", "an MPEG video", "mpeg")),
    (b"#!AMR", Content("sound", "an AMR recording", "amr")),
    (b"caff", Content("sound", "a CAF recording", "caf")),
    (b".snd", Content("sound", "an AU recording", "au")),
    (b"MThd", Content("sound", "a MIDI file")),
    (b"\x30\x26\xb2\x75", Content("sound", "a Windows Media file", "asf")),
    (b"\x89PNG\r\n\x1a\n", Content("image", "a PNG image", "PNG")),
    (b"\xff\xd8\xff", Content("image", "a JPEG image", "JPEG")),
    (b"GIF8", Content("animation", "a GIF image", "gif")),
    (b"BM", Content("image", "a BMP image", "BMP")),
    (b"II*\0", Content("image", "a TIFF image", "TIFF")),
    (b"MM\0*", Content("image", "a TIFF image", "TIFF")),
    (b"II+\0", Content("image", "a TIFF image", "TIFF")),
    (b"MM\0+", Content("image", "a TIFF image", "TIFF")),
    (b"8BPS", Content("image", "a Photoshop image")),
    (b"\0\0\x01\0", Content("image", "an icon file")),
    (b"\xff\x0a", Content("image", "a JPEG XL image")),
    (b"\0\0\0\x0cJXL ", Content("image", "a JPEG XL image")),
    (b"%PDF", Content("other", "a PDF document")),
    (b"PK\x03\x04", Content("other", "a ZIP archive")),
)
_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_AVIF_BRANDS = {b"avif", b"avis"}
VIDEO_DEMUXERS = frozenset({"mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "gif"})
"""Of containers that are read as videos."""
_MOST_PIECES = 2**18
"""Of the data of a GIF, at most 255 bytes each and empty ones too, that are passed over; one of more is no photo."""
_MOST_NOTES = 2**13
"""Of extensions of a GIF and the pieces of their data, up to its second picture."""
_PADDING = re.compile(rb"\0*")
_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"}


def identify(data: bytes) -> Content:
    """Tells what `data` (a whole file, or its first HEAD_BYTES) is; never raises."""
    head = data[:HEAD_BYTES]
    if head[:4] in (b"RIFF", b"RF64", b"RIFX", b"FORM"):
        return _chunked(head)
    if head[4:8] in _MP4_BOXES:
        if head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS:
            return _still(head)
        return Content("sound", "an MP4 file", "mov")
    if any(len(head) > at + 2 * step and head[at] == head[at + step] == head[at + 2 * step] == 0x47 for at, step in ((0, 188), (4, 192))):
        return Content("sound", "an MPEG transport stream", "mpegts")
    for magic, content in _MAGIC:
        if head.startswith(magic):
            return content
    if (mpeg := _mpeg_audio(data)) is not None:
        return mpeg
    if (dolby := _dolby_audio(head)) is not None:
        return dolby
    if not head:
        return Content("other", "an empty file")
    return Content("other", "a text file") if _is_text(head) else Content("other", "a file of an unknown kind")


def is_video_file(path: Path) -> bool:
    """Whether `load_source` would read the file as a video; False of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return plays(file)
    except OSError:
        return False


def plays(file: BinaryIO) -> bool:
    """Whether a file, at its beginning, is a video; a GIF of one picture is a photo."""
    decoder = identify(file.read(HEAD_BYTES)).decoder
    return decoder in VIDEO_DEMUXERS and (decoder != "gif" or _moves(file))


def is_laden(gif: bytes) -> bool:
    """Whether a GIF has so much beside its first picture that a decoder takes long: each piece of a comment is put to all before it."""
    n_pictures = n_pieces = n_notes = 0
    for block in _gif_pieces(io.BytesIO(gif)):
        n_pictures += block == b","
        n_pieces += 1
        n_notes += block == b"!"
        if n_pictures > 1:
            return False
        if n_notes > _MOST_NOTES or n_pieces > 2 * _MOST_PIECES:
            return True
    return False


def _moves(gif: BinaryIO) -> bool:
    """Whether a GIF holds more than one picture."""
    n_pictures = n_pieces = 0
    for block in _gif_pieces(gif):
        n_pictures += block == b","
        n_pieces += block != b","
        if n_pictures > 1 or n_pieces > _MOST_PIECES:
            return True
    return False


def _gif_pieces(gif: BinaryIO) -> Iterator[bytes]:
    """Of each block b"," for a picture, b"" for each piece of that; b"!" for anything else, and for each piece of that
    (https://www.w3.org/Graphics/GIF/spec-gif89a.txt).
    """
    gif.seek(0)
    head = gif.read(13)
    _pass_colours(gif, head[10] if len(head) == 13 else 0)
    while (block := gif.read(1)) in (b"!", b","):
        yield block
        if block == b",":
            place = gif.read(9)
            _pass_colours(gif, place[8] if len(place) == 9 else 0)
        gif.read(1)  # the label of an extension, or the first code's size
        while size := gif.read(1):
            yield b"!" if block == b"!" else b""
            if size == b"\0":
                break
            gif.seek(size[0], io.SEEK_CUR)


def _pass_colours(gif: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        gif.seek(3 << (flags & 7) + 1, io.SEEK_CUR)


def _still(head: bytes) -> Content:
    """AVIF or HEIC: some writers name the general brand "mif1" first, and what it is among the compatible ones."""
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[8:12], *(box[n : n + 4] for n in range(16, len(box), 4))}
    return Content("image", "an AVIF image", "AVIF") if brands & _AVIF_BRANDS else Content("image", "a HEIC image", "HEIF")


def _chunked(head: bytes) -> Content:
    form = head[8:12]
    if form == b"WAVE":
        return Content("sound", "a WAV recording", "wav")
    if form in (b"AIFF", b"AIFC"):
        return Content("sound", "an AIFF recording", "aiff")
    if form == b"AVI ":
        return Content("sound", "an AVI video", "avi")
    if form == b"WEBP":
        return Content("image", "a WebP image", "WEBP")
    return Content("other", "a file of an unknown kind")


def _mpeg_audio(data: bytes) -> Content | None:
    """MP3 or raw AAC, behind any ID3 tag and zero padding (some writers pad; a few put an ID3 tag before FLAC)."""
    start = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
        start = 10 + size
    if (padding := _PADDING.match(data, start)) is not None:
        start = padding.end()
    body = data[start : start + 4]
    if body == b"fLaC":
        return Content("sound", "a FLAC recording", "flac")
    if len(body) == 4 and body[0] == 0xFF:
        if body[1] & 0xF6 == 0xF0:
            return Content("sound", "an AAC recording", "aac")
        layer_3 = body[1] & 0xE6 == 0xE2
        if layer_3 and body[2] >> 4 != 15 and body[2] >> 2 & 3 != 3:  # bit rate and sampling rate exist
            return Content("sound", "an MP3 recording", "mp3")
    return Content("sound", "an MP3 recording", "mp3") if start >= 10 and data[:3] == b"ID3" else None


def _dolby_audio(head: bytes) -> Content | None:
    """AC-3 and E-AC-3, told apart by the version of the bit stream (ETSI TS 102 366, 4.4 and E.1.3)."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    version = head[5] >> 3
    if version > 10:
        return Content("sound", "an E-AC-3 recording", "eac3") if version <= 16 else None
    known = head[4] >> 6 != 3 and head[4] & 0x3F < 38  # sampling rate and size of a frame exist
    return Content("sound", "an AC-3 recording", "ac3") if known else None


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely a character cut in two by the end of the head
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\r\n\t\f\ufeff" for character in text)
