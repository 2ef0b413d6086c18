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

    def mask(self) -> np.ndarray:
        """(h, w) float32: 1 in the oval, soft at its edge."""
        y, x = np.mgrid[: self.pictures[0].shape[0], : self.pictures[0].shape[1]]
        cx, cy, rx, ry = self.oval
        mask: np.ndarray = np.clip((1 - np.hypot((x - cx) / rx, (y - cy) / ry)) * 12, 0, 1).astype(np.float32)
        return mask


def moved(x: float, y: float, scale: float = 1.0, turn_deg: float = 0.0, around: tuple[float, float] = (0.0, 0.0)) -> Matrix:
    """Puts the point `around` of a picture at (x, y), scaled and turned there."""
    matrix = cv2.getRotationMatrix2D(around, turn_deg, scale)
    matrix[:, 2] += (x - around[0], y - around[1])
    return matrix


def scene(actors: Sequence[Actor], n: int, width: int, height: int, light: float = 1.0) -> Iterator[Frame]:
    """n frames of a plain room, which `light` makes darker; later actors are before the others. The camera has some noise."""
    rng = np.random.default_rng(7)
    room = light * np.linspace((150, 140, 130), (90, 95, 110), height)[:, None, :].repeat(width, axis=1)
    masks = [actor.mask() for actor in actors]
    for number in range(n):
        picture = room.copy()
        for actor, mask in zip(actors, masks, strict=True):
            matrix = actor.at(number)
            if matrix is None:
                continue
            person = actor.pictures[number % len(actor.pictures)]
            warped = cv2.warpAffine(person, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            share = cv2.warpAffine(mask, matrix, (width, height))[..., None]
            picture = picture * (1 - share) + warped * share
        yield np.clip(picture + rng.normal(0, NOISE, picture.shape), 0, 255).astype(np.uint8)


def turned(picture: Frame, points: np.ndarray, degrees: float) -> Frame:
    """The picture with the face, whose mesh is (478, 3) `points`, turned to the viewer's right; what is beside the face stays."""
    mesh = points[:468].astype(np.float64)
    angle = np.radians(degrees)
    middle = mesh.mean(axis=0) + (0, 0, 0.3 * np.ptp(mesh[:, 0]))  # the axis of a head is behind the face
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    there = (mesh - middle) @ turn.T + middle
    height, width = picture.shape[:2]
    net = cv2.Subdiv2D((0, 0, width, height))
    number = {}
    for i, (x, y) in enumerate(mesh[:, :2].astype(np.float32)):
        net.insert((float(x), float(y)))
        number[float(x), float(y)] = i
    triangles = [[number.get((float(t[k]), float(t[k + 1]))) for k in (0, 2, 4)] for t in net.getTriangleList()]
    corners = [triangle for triangle in triangles if None not in triangle]
    result = picture.copy()
    hull = cv2.convexHull(np.round(mesh[:, :2]).astype(np.int32))
    skin = picture[tuple(hull.reshape(-1, 2).T[::-1])].mean(axis=0)
    cv2.fillConvexPoly(result, hull, tuple(map(float, skin)))  # else a second face would be seen beside the turned one
    for triangle in sorted(corners, key=lambda triangle: -there[triangle, 2].mean()):  # the nearest last
        old, new = mesh[triangle, :2].astype(np.float32), there[triangle, :2].astype(np.float32)
        x0, y0 = np.floor(new.min(axis=0)).astype(int) - 1
        x1, y1 = np.ceil(new.max(axis=0)).astype(int) + 2
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            continue
        part = cv2.warpAffine(picture, cv2.getAffineTransform(old, new - np.float32((x0, y0))), (x1 - x0, y1 - y0))
        inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillConvexPoly(inside, np.round(new - (x0, y0)).astype(np.int32), 1)
        result[y0:y1, x0:x1][inside > 0] = part[inside > 0]
    return result
