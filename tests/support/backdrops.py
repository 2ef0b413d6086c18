"""Pictures for backgrounds, and whether a video shows one."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np

from core.types import Frame

RED, BLUE = (200, 30, 40), (20, 40, 190)


def backdrop(path: Path, colour: tuple[int, int, int] = RED) -> Path:
    """A picture of one colour."""
    cv2.imwrite(str(path), np.full((200, 300, 3), colour[::-1], np.uint8))
    return path


def first_frame(video: Path | bytes) -> Frame:
    with av.open(BytesIO(video) if isinstance(video, bytes) else str(video)) as file:
        return np.asarray(next(file.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


def is_behind(colour: tuple[int, int, int], frame: Frame) -> bool:
    """Whether the upper corners have the colour, as far as encoding leaves it."""
    side = max(4, len(frame) // 12)
    corners = np.concatenate([frame[:side, :side].reshape(-1, 3), frame[:side, -side:].reshape(-1, 3)]).astype(int)
    return bool(np.abs(corners.mean(axis=0) - colour).max() < 16)
