"""Finds for each letter of a caption a font that has it: DejaVu Sans first, then the fonts of this machine."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageFont, features

MAX_FONTS = 2000
"""Of this machine that are looked at."""
_TRIED_PX = 16
_NO_LETTER = "\U0010ffff"
"""No font has it, so a font shows for it what it shows for letters that it lacks."""
_lock = threading.Lock()
"""A face of FreeType is used by one thread at a time."""


def runs(line: str, size_px: int) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """The line in parts, each with the font for it, in the order in which they are drawn from the left.

    A line that is written from the right is one part, for only so its words come into the right order.
    """
    if any(unicodedata.bidirectional(character) in ("R", "AL") for character in line):
        needed = {character for character in line if _is_letter(character)}
        paths = dict.fromkeys(filter(None, map(path_for, needed)))
        best = max(paths, key=lambda path: sum(_has(path, character) for character in needed), default=_usual())
        return [(line, font(best, size_px))]
    parts: list[tuple[str, Path]] = []
    for character in line:
        path = path_for(character) if _is_letter(character) else None
        if path is None:  # a mark or a sign belongs to the letter before it
            path = parts[-1][1] if parts else _usual()
            if not (unicodedata.category(character).startswith("M") or _has(path, character) or character == " "):
                continue
        if parts and parts[-1][1] == path:
            parts[-1] = (parts[-1][0] + character, path)
        else:
            parts.append((character, path))
    return [(text, font(path, size_px)) for text, path in parts]


def missing_letters(text: str) -> str:
    """The letters of the text that no font here can show, each once."""
    return "".join(dict.fromkeys(character for character in text if _is_letter(character) and path_for(character) is None))


def font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    """Of this thread's own."""
    return _loaded(path, size_px, threading.get_ident())


@functools.lru_cache(maxsize=4096)
def path_for(character: str) -> Path | None:
    """The first font that has the character and can join it to its neighbours as its script asks for."""
    if _is_joined(character) and not (features.check("raqm") and features.check("fribidi")):
        return None
    return next((path for path in itertools.chain([_usual()], _of_this_machine()) if _has(path, character)), None)


def _is_letter(character: str) -> bool:
    return character.isalnum()


def _is_joined(character: str) -> bool:
    """Whether its script is written from the right, or shapes and orders its letters."""
    return unicodedata.bidirectional(character) in ("R", "AL") or "\u0700" <= character <= "\u109f" or "\u1780" <= character <= "\u18af"


@functools.lru_cache(maxsize=65536)
def _has(path: Path, character: str) -> bool:
    with _lock:
        shown, lacking = (_shared(path).getmask(each) for each in (character, _NO_LETTER))
        return shown.size[0] > 0 and (shown.size != lacking.size or bytes(shown) != bytes(lacking))


@functools.lru_cache(maxsize=64)
def _shared(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, _TRIED_PX, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(maxsize=64)
def _loaded(path: Path, size_px: int, thread: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size_px)


@functools.cache
def _usual() -> Path:
    """DejaVu Sans Bold (Latin, Greek, Cyrillic, Armenian, Georgian, Arabic, Hebrew), which comes with matplotlib, which MediaPipe needs."""
    found = importlib.util.find_spec("matplotlib")  # it is not imported for this
    if found is None or found.origin is None:
        raise ImportError("matplotlib is missing, which mediapipe needs")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


@functools.cache
def _of_this_machine() -> tuple[Path, ...]:
    """Upright fonts that can be read, those of Noto, without serifs and bold first."""

    def rank(path: Path) -> tuple[object, ...]:
        name = path.name.lower()
        return ("noto" not in name, "sans" not in name, "bold" not in name, name)

    found = sorted(itertools.islice(_files(), MAX_FONTS), key=rank)
    return tuple(path for path in found if _can_be_read(path))


def _files() -> Iterator[Path]:
    for folder in _folders():
        for root, _, names in os.walk(folder):
            for name in names:
                lowered = name.lower()
                if lowered.endswith((".ttf", ".otf", ".ttc")) and not any(
                    kind in lowered for kind in ("italic", "oblique", "emoji", "lastresort")
                ):
                    yield Path(root) / name


def _folders() -> list[Path]:
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), Path("~/Library/Fonts").expanduser()]
    own = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    shared = (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    return [own / "fonts", *(Path(folder) / "fonts" for folder in shared)]


def _can_be_read(path: Path) -> bool:
    try:
        with _lock:
            return _shared(path).getmask("\u00a0") is not None
    except (OSError, ValueError):
        return False
