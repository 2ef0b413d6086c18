"""Makes scenes without a mark, no two alike: parts of pictures in all styles, and generated ones, still or moving.

Everything about a scene follows from its number and the list of pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.mark_sources import ASSETS, STYLES
from core.types import Frame

SIDE, N_FRAMES = 320, 26
_LARGER = 1.25
"""Side of the part that the frames move over, over their own."""
STYLE_NAMES = tuple(name for name in STYLES if name != "still")


def _noise(random: np.random.Generator, side: int) -> Frame:
    """Gaussian noise with a spectrum between white and that of clouds."""
    slope = random.uniform(0, 2)
    cycles = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    cycles[0, 0] = 1
    planes = [np.fft.irfft2(np.fft.rfft2(random.normal(size=(side, side))) / cycles**slope, (side, side)) for _ in range(3)]
    picture = np.stack(planes, axis=-1) / np.std(planes)
    return _bytes(128 + random.uniform(5, 50) * picture)


def _gradient(random: np.random.Generator, side: int) -> Frame:
    """Between two colours, with the finest noise, as a wall has."""
    first, last = random.uniform(0, 255, (2, 3))
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    share = (0.5 + 0.7 * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
    return _bytes(first + (last - first) * share + random.normal(0, random.uniform(0, 2), (side, side, 1)))


def _stripes(random: np.random.Generator, side: int) -> Frame:
    """Waves of some directions and lengths: textiles, blinds, tiles, halftones."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    picture = np.full((side, side, 3), 128.0)
    for _ in range(random.integers(1, 5)):
        angle, cycles = random.uniform(0, np.pi), random.uniform(0.01, 0.25)
        wave = np.sin(2 * np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle)) + random.uniform(0, 7))
        picture += random.uniform(5, 40) * (np.sign(wave) if random.random() < 0.5 else wave)[..., None] * random.uniform(0.7, 1, 3)
    return _bytes(picture)


def _shapes(random: np.random.Generator, side: int) -> Frame:
    """Flat colours with sharp edges: drawings, logos, slides."""
    picture = np.full((side, side, 3), random.integers(0, 256, 3), np.uint8)
    for _ in range(random.integers(3, 60)):
        colour = [int(level) for level in random.integers(0, 256, 3)]
        a, b = (tuple(int(place) for place in random.integers(0, side, 2)) for _ in range(2))
        if random.random() < 0.5:
            cv2.circle(picture, a, int(random.integers(3, side // 5)), colour, -1, cv2.LINE_AA)
        else:
            cv2.line(picture, a, b, colour, int(random.integers(1, 12)), cv2.LINE_AA)
    return picture


def _writing(random: np.random.Generator, side: int) -> Frame:
    """Lines of letters, dark on light or light on dark."""
    ground = int(random.integers(0, 256))
    picture = np.full((side, side, 3), ground, np.uint8)
    size = random.uniform(0.35, 1.2)
    for y in range(14, side, max(12, int(30 * size))):
        letters = "".join(chr(int(code)) for code in random.integers(65, 123, 60))
        cv2.putText(picture, letters, (4, y), int(random.integers(0, 8)), size, [(ground + 128) % 256] * 3, 1, cv2.LINE_AA)
    return picture


GENERATED: dict[str, Callable[[np.random.Generator, int], Frame]] = {
    "noise": _noise, "gradient": _gradient, "stripes": _stripes, "shapes": _shapes, "writing": _writing,
}  # fmt: skip


def kind_of(number: int) -> str:
    """Name of a style of pictures (of two thirds of the scenes), or of what is generated."""
    kinds = tuple(GENERATED) if number % 3 == 2 else STYLE_NAMES
    return kinds[number // 3 % len(kinds)]


def scene(number: int, pictures: list[Path]) -> list[Frame]:
    """(SIDE, SIDE, 3) uint8 RGB, N_FRAMES of them. Raises ValueError for what is no picture."""
    random = np.random.default_rng(number)
    kind, large = kind_of(number), round(_LARGER * SIDE)
    if kind in GENERATED:
        ground = GENERATED[kind](random, large)
    else:
        all_pictures = [ASSETS / "portrait.png", *pictures]
        ground = STYLES[kind](_part(all_pictures[number % len(all_pictures)], random, large))
    grade = random.uniform(0.75, 1.2), random.uniform(-20, 20)
    graded = _bytes(ground.astype(np.float64) * grade[0] + grade[1])
    moves = random.random() < 0.7
    start, step = random.uniform(0, large - SIDE, 2), random.uniform(-1.5, 1.5, 2) * moves
    corners = np.clip(start + np.arange(N_FRAMES)[:, None] * step, 0, large - SIDE)
    middle = (SIDE - 1) / 2
    return [cv2.getRectSubPix(graded, (SIDE, SIDE), (float(x + middle), float(y + middle))) for x, y in corners]


def _part(path: Path, random: np.random.Generator, side: int) -> Frame:
    """A square part of a picture, as it is or mirrored, brought to side pixels."""
    stored = cv2.imread(str(path))
    if stored is None:
        raise ValueError(f"{path} is no picture that OpenCV reads")
    height, width = stored.shape[:2]
    taken = max(2, round(min(height, width) * random.uniform(0.45, 1.0)))
    y, x = int(random.integers(0, height - taken + 1)), int(random.integers(0, width - taken + 1))
    part = stored[y : y + taken, x : x + taken, ::-1]
    if random.random() < 0.5:
        part = part[:, ::-1]
    interpolation = cv2.INTER_AREA if taken > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=interpolation), np.uint8)


def _bytes(levels: np.ndarray) -> Frame:
    return np.clip(levels, 0, 255).astype(np.uint8)
