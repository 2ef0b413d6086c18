"""The picture that stands for an uploaded video where only pictures are shown: it lies beside the video, and its name leads back."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".still.jpg"
LOOKED_AT, STEP = 15, 5
"""Frames in which a face is looked for, and their distance."""


def still_path(video: Path) -> Path:
    """Where the picture of a video is."""
    return video.with_name(video.name + SUFFIX)


def video_of(path: Path) -> Path:
    """The video, where `path` is the picture that stands for one; else `path`."""
    name = path.name.removesuffix(SUFFIX)
    video = path.with_name(name) if name and name != path.name else path
    return video if video.is_file() else path


def shown_name(path: Path) -> str:
    """What a photo, or the video that it stands for, was called, without its ending; whether it is still there or not."""
    return Path(path.name.removesuffix(SUFFIX)).stem
