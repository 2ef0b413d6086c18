"""Draws a photo with the six points of its face, and beside it what a video makes of it.

    python scripts/marked_face_sheet.py docs/pictures/marked_face.jpg tests/data/cat.jpg "X,Y X,Y X,Y X,Y X,Y X,Y"
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.engines.lite import LiteEngine, LiteRegistration
from core.hand_landmarks import hand_points
from core.lite.expression import Expression
from core.lite.head_warp import HeadPose
from core.media.image import load_image
from core.options import read_options
from core.request import RenderOptions
from core.settings import Settings
from core.types import Frame

TILE_PX = 300
SHOWN = (
    Expression(aperture=0.9),
    Expression(aperture=0.5, spread=-0.9),
    Expression(aperture=0.2, blink=0.6, pose=HeadPose(yaw=3, roll=2)),
)
"""A wide and a round mouth, and a blink with a turned head."""


def with_points(photo: Frame, points: np.ndarray) -> Frame:
    """The photo at the tiles' height, its points on it."""
    scale = TILE_PX / photo.shape[0]
    shown: Frame = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    for x, y in (points * scale).round().astype(int).tolist():
        for radius, colour in ((7, (0, 0, 0)), (5, (255, 255, 255))):
            cv2.circle(shown, (x, y), radius, colour, 2, cv2.LINE_AA)
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("landmarks")
    arguments = parser.parse_args()
    photo = load_image(arguments.photo, Settings())
    framing = read_options({"landmarks": arguments.landmarks}).framing
    framing.verify()
    if framing.landmarks is None:
        parser.error("no landmarks are given")
    registration = LiteEngine().register(photo, framing)
    if not isinstance(registration, LiteRegistration):
        parser.error(f"{arguments.photo} is no photo")
    renderer = registration.renderer(RenderOptions(size=TILE_PX))
    height, width = photo.pixels.shape[:2]
    tiles = [with_points(photo.pixels, hand_points(framing.landmarks, width, height)), *(renderer.draw(each) for each in SHOWN)]
    Image.fromarray(np.concatenate(tiles, axis=1)).save(arguments.output, quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
