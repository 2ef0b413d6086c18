"""Encodes pictures as JPEG, for browsers and live sessions."""

from __future__ import annotations

import cv2

from core.types import Frame


def as_jpeg(pixels: Frame, quality: int = 85) -> bytes:
    """(H, W, 3) uint8 RGB as a JPEG file."""
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
