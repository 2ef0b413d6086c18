"""Frames of plain colours and speech-like noise for the tests of videos, and reading a video again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from core.media.audio import load_audio
from core.settings import Settings
from core.types import Audio, Frame

SIDE = 96
COLOURS = [(255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 40, 40), (40, 180, 60), (50, 60, 200), (230, 180, 150), (110, 70, 50)]
COLOURS += [(220, 210, 60)]


def speech(seconds: float, rate_hz: int = 16000, channels: int = 1, click_s: float | None = None) -> Audio:
    """Soft noise bursts, the right channel half as loud; with a loud click at click_s, in the left channel only."""
    rng = np.random.default_rng(0)
    n = round(seconds * rate_hz)
    samples = np.zeros((n, channels), np.float32)
    samples += 0.02 * rng.standard_normal((n, 1)) * (np.arange(n) / rate_hz % 0.5 < 0.3)[:, None]
    if channels == 2:
        samples[:, 1] *= 0.5
    if click_s is not None:
        at = round(click_s * rate_hz)
        length = round(0.004 * rate_hz)
        samples[at : at + length, 0] += 0.8 * np.sin(np.linspace(0, 8 * np.pi, length)).astype(np.float32)
    return load_audio((rate_hz, samples), Settings())


def chart() -> Frame:
    """Nine fields of plain colour."""
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    third = SIDE // 3
    for index, colour in enumerate(COLOURS):
        y, x = divmod(index, 3)
        frame[y * third : (y + 1) * third, x * third : (x + 1) * third] = colour
    return frame


def numbered(count: int) -> Iterator[Frame]:
    """The chart with its middle field as bright as the frame's number says."""
    for index in range(count):
        frame = chart()
        frame[32:64, 32:64] = 20 + 2 * (index % 100)
        yield frame


def boxes(data: bytes) -> list[bytes]:
    """Names of an MP4's outermost boxes, in order."""
    names, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8])
        at += size if size > 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    return names


def sound_of(path: Path) -> tuple[NDArray[np.float32], int]:
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
        assert frames[0].pts == 0
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), frames[0].sample_rate
