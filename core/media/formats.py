"""The formats of files that are read: what messages, pages and documentation list, and what the pages' file dialogs offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """name: for people. endings: of file names, without the dot, the usual one first."""

    name: str
    endings: tuple[str, ...]


PHOTOS = (
    Format("PNG", ("png",)), Format("JPEG", ("jpg", "jpeg")), Format("HEIC", ("heic", "heif")), Format("AVIF", ("avif",)),
    Format("WebP", ("webp",)), Format("TIFF", ("tiff", "tif")), Format("GIF", ("gif",)), Format("BMP", ("bmp",)),
)  # fmt: skip
SOUNDS = (
    Format("WAV", ("wav",)), Format("MP3", ("mp3",)), Format("M4A/AAC", ("m4a", "aac")), Format("FLAC", ("flac",)),
    Format("Ogg/Opus", ("ogg", "oga", "opus")), Format("AIFF", ("aiff", "aif")), Format("AMR", ("amr", "awb")), Format("CAF", ("caf",)),
    Format("AU", ("au", "snd")), Format("AC-3", ("ac3", "eac3")), Format("WMA", ("wma",)),
)  # fmt: skip
VIDEOS = (
    Format("MP4", ("mp4", "m4v")), Format("MOV", ("mov",)), Format("WebM", ("webm",)), Format("MKV", ("mkv",)), Format("AVI", ("avi",)),
    Format("WMV", ("wmv", "asf")), Format("MPEG", ("mpg", "mpeg", "ts", "mts", "m2ts")), Format("FLV", ("flv",)), Format("GIF", ("gif",)),
)  # fmt: skip
MUTE = frozenset({"GIF"})
"""Of VIDEOS, those that have no sound."""


def names(formats: Sequence[Format]) -> list[str]:
    return [each.name for each in formats]


def listed(formats: Sequence[Format], last: str = "or") -> str:
    """ "PNG, JPEG or BMP". last: what joins the last one."""
    *first, end = names(formats)
    return f"{', '.join(first)} {last} {end}" if first else end


def endings(*groups: Sequence[Format]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(ending for formats in groups for each in formats for ending in each.endings))


def with_sound(formats: Sequence[Format] = VIDEOS) -> list[Format]:
    """The videos that a recording may come from."""
    return [each for each in formats if each.name not in MUTE]


PHOTO_FORMATS, VIDEO_FORMATS = listed(PHOTOS), listed(VIDEOS)
SOUND_FORMATS = f"{listed(SOUNDS)}, or a video with sound ({listed(with_sound())})"
"""The same in words."""
