"""Looks for the imperceptible mark in a video file from anywhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core.errors import InputError
from core.media.luma import luma_frames
from core.provenance.mark_detection import MarkDetector, MarkReading


def read_mark(path: Path, key: bytes | None = None) -> MarkReading:
    """Looks at some frames of a video (`VIDEO_FORMATS`), spread over its length; 10 s of video take about a second.

    key: of a deployment whose number is looked for. Raises InputError where no frame of it can be decoded.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:  # a pipe must not make us wait
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path} is not a file.", "Give a video.")
            detector = MarkDetector(key)
            for luma in luma_frames(file, path.name):
                detector.add(luma)
            return detector.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).", "Check the path.") from error
