#!/usr/bin/env python3
"""Paints a photo with brush strokes: layer by layer, from broad strokes to fine ones where the picture needs them.

usage: paint_portrait.py photo.jpg painting.jpg

After A. Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes", SIGGRAPH 1998.
The same photo gives the same painting.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX = 768
SEED = 1
LAYERS = ((20.0, 13, 0.0), (10.0, 8, 24.0), (6.0, 5, 22.0), (3.0, 4, 26.0))
"""Radius of the brush and distance of the strokes, pixels, and how far off (grey levels) the painting must be for a stroke."""
STEPS = 7
"""Points of a stroke at most."""

Picture = NDArray[np.float32]


def paint(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 -> the painting, of the same shape and kind."""
    random = np.random.default_rng(SEED)
    height, width = photo.shape[:2]
    canvas = np.empty(photo.shape, np.float32)
    canvas[:] = photo.reshape(-1, 3).mean(axis=0)
    for radius, distance, tolerance in LAYERS:
        wanted = cv2.GaussianBlur(photo, (0, 0), radius * 0.55).astype(np.float32)
        places = [(y, x) for y in range(0, height, distance) for x in range(0, width, distance)]
        random.shuffle(places)
        off = np.linalg.norm(canvas - wanted, axis=2)
        along = _directions(wanted, radius)
        for place in places:
            y, x = np.clip(np.add(place, random.integers(-distance // 2, distance // 2 + 1, 2)), 0, (height - 1, width - 1))
            if off[y, x] >= tolerance:
                colour = wanted[y, x] + random.normal(0, 4) + random.normal(0, 3, 3)
                shade = float(random.choice((-9, 9)))
                _draw(canvas, _stroke(canvas, wanted, along, colour, (int(x), int(y)), radius), colour, shade, radius)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _directions(wanted: Picture, radius: float) -> Picture:
    """(H, W, 2): where strokes go, along the edges; 0 where there are none."""
    grey = cv2.GaussianBlur(cv2.cvtColor(wanted, cv2.COLOR_BGR2GRAY), (0, 0), radius * 0.8)
    across = np.stack([-cv2.Sobel(grey, cv2.CV_32F, 0, 1), cv2.Sobel(grey, cv2.CV_32F, 1, 0)], axis=2)
    length = np.linalg.norm(across, axis=2, keepdims=True)
    return np.where(length < 1, 0, across / np.maximum(length, 1e-6)).astype(np.float32)


def _stroke(
    canvas: Picture, wanted: Picture, along: Picture, colour: Picture, start: tuple[int, int], radius: float
) -> list[tuple[int, int]]:
    """Its points, as long as its colour does better than what is there."""
    points, at, before = [start], np.array(start, np.float32), np.zeros(2, np.float32)
    for step in range(STEPS):
        direction = along[int(at[1]), int(at[0])]
        if not direction.any():
            break
        before = -direction if direction @ before < 0 else direction
        at = at + before * radius
        x, y = int(at[0]), int(at[1])
        if not (0 <= at[0] < wanted.shape[1] and 0 <= at[1] < wanted.shape[0]):
            break
        if step > 1 and np.linalg.norm(wanted[y, x] - colour) > np.linalg.norm(wanted[y, x] - canvas[y, x]):
            break
        points.append((x, y))
    return points


def _draw(canvas: Picture, points: list[tuple[int, int]], colour: Picture, shade: float, radius: float) -> None:
    if len(points) == 1:
        cv2.circle(canvas, points[0], int(radius), colour.tolist(), -1, cv2.LINE_AA)
        return
    line = np.array(points, np.int32)
    cv2.polylines(canvas, [line], False, colour.tolist(), int(2 * radius), cv2.LINE_AA)
    if radius > 3:  # the bristles
        cv2.polylines(canvas, [line + int(radius * 0.6)], False, (colour + shade).tolist(), max(1, int(radius * 0.4)), cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path, help="its upper part is painted, as a square")
    parser.add_argument("painting", type=Path)
    arguments = parser.parse_args()
    photo = cv2.imread(str(arguments.photo))
    if photo is None:
        raise SystemExit(f"{arguments.photo} is no picture that can be read")
    side = min(photo.shape[:2])
    left = (photo.shape[1] - side) // 2
    photo = cv2.resize(photo[:side, left : left + side], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(arguments.painting), paint(photo), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
