"""Where the file of visemes of a video is."""

from __future__ import annotations

from pathlib import Path


def beside(video: Path) -> Path:
    """Where the file of a video is."""
    return video.with_suffix(".visemes.json")
