"""Small videos of avatars, and where an avatar lies in the cache folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from core.request import Avatar, RenderOptions, Request
from core.studio import Studio
from core.types import Audio, Photo

SMALL = RenderOptions(size=96)


def folder_of(studio: Studio, avatar: Avatar) -> Path:
    (found,) = (studio.settings.cache_dir / "avatars").glob(f"*/{avatar.token}")
    return found


def video(studio: Studio, source: Photo | Avatar, short: Audio, tmp_path: Path, **options: Any) -> bytes:
    request = Request(short, source, owner="ann", options=dataclasses.replace(SMALL, **options))
    return studio.generate(request, tmp_path / "v.mp4").path.read_bytes()
