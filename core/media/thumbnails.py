"""Small pictures of our own videos."""

from __future__ import annotations

from pathlib import Path

import av

from core.errors import EncodingError
from core.media.jpeg import as_jpeg

SIDE_PX = 320


def first_picture(video: Path) -> bytes:
    """The first picture of an MP4, its longer side SIDE_PX pixels at most, as a JPEG file. Raises EncodingError where it has none."""
    try:
        with av.open(str(video), format="mp4") as file:
            frame = next(file.decode(video=0))
    except (OSError, av.FFmpegError, StopIteration, IndexError) as error:
        raise EncodingError(f"{video.name} has no picture ({error}).") from error
    share = min(1.0, SIDE_PX / max(frame.width, frame.height))
    width, height = (max(2, round(side * share)) for side in (frame.width, frame.height))
    return as_jpeg(frame.to_ndarray(format="rgb24", width=width, height=height))
