"""Clips of talking persons for tests: frames of the lite engine, moved, scaled, turned, covered and crossed, with the motion known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from core.types import Frame

NOISE = 2.0
Matrix = np.ndarray
"""(2, 3) float64, pixels of a person's picture to pixels of the frame."""


@dataclass(frozen=True)
class Actor:
    """pictures: of a person who talks, used round and round, (h, w, 3). at: the matrix of each frame; None: not in the scene.

    oval: centre x, y and half axes of what is pasted, pixels of the pictures.
    """

    pictures: Sequence[Frame]
    at: Callable[[int], Matrix | None]
    oval: tuple[float, float, float, float]


def moved(x: float, y: float, scale: float = 1.0, turn_deg: float = 0.0, around: tuple[float, float] = (0.0, 0.0)) -> Matrix:
    """Puts the point `around` of a picture at (x, y), scaled and turned there."""
    matrix = cv2.getRotationMatrix2D(around, turn_deg, scale)
    matrix[:, 2] += (x - around[0], y - around[1])
    return matrix


def scene(actors: Sequence[Actor], n: int, width: int, height: int, light: float = 1.0) -> Iterator[Frame]:
    """n frames of a plain room, which `light` makes darker; later actors are before the others. The camera has some noise."""
    rng = np.random.default_rng(7)
    room = light * np.linspace((150, 140, 130), (90, 95, 110), height)[:, None, :].repeat(width, axis=1)
    for number in range(n):
        picture = room.copy()
        for actor in actors:
            matrix = actor.at(number)
            if matrix is None:
                continue
            person = actor.pictures[number % len(actor.pictures)]
            warped = cv2.warpAffine(person, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            y, x = np.mgrid[: person.shape[0], : person.shape[1]]
            cx, cy, rx, ry = actor.oval
            inside = np.clip((1 - np.hypot((x - cx) / rx, (y - cy) / ry)) * 12, 0, 1).astype(np.float32)
            share = cv2.warpAffine(inside, matrix, (width, height))[..., None]
            picture = picture * (1 - share) + warped * share
        yield np.clip(picture + rng.normal(0, NOISE, picture.shape), 0, 255).astype(np.uint8)
