"""Makes the videos that the mark is measured on: faces as photos, paintings, drawings, dark, bright, on flat grounds and still.

All come from the project's portrait and from whatever photos of faces a folder brings, so that the figures can be made again anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.engines.lite import LiteEngine
from core.errors import InputError
from core.media.audio import load_audio
from core.media.image import load_image
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings
from core.types import SAMPLES_PER_FRAME, Frame

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class Clip:
    """name: source and style. frames: without a mark."""

    name: str
    frames: list[Frame]


def _dark(photo: Frame) -> Frame:
    return np.clip(255 * (photo / 255.0) ** 2.2 * 0.6, 0, 255).astype(np.uint8)


def _bright(photo: Frame) -> Frame:
    return np.clip(255 * (photo / 255.0) ** 0.5 * 1.08, 0, 255).astype(np.uint8)


def _painting(photo: Frame) -> Frame:
    return cv2.stylization(photo, sigma_s=40, sigma_r=0.4)


def _drawing(photo: Frame) -> Frame:
    return cv2.pencilSketch(photo, sigma_s=40, sigma_r=0.07, shade_factor=0.03)[1]


def _smooth(photo: Frame) -> Frame:
    """Like a portrait in front of a backdrop far out of focus: no texture at all but the face's."""
    height, width = photo.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    inside = np.exp(-((((x - width / 2) / (0.3 * width)) ** 2 + ((y - height / 2) / (0.4 * height)) ** 2) ** 2))[..., None]
    return (photo * inside + np.array([168, 176, 190]) * (1 - inside)).astype(np.uint8)


STYLES: dict[str, Callable[[Frame], Frame]] = {
    "photo": lambda photo: photo,
    "painting": _painting,
    "drawing": _drawing,
    "dark": _dark,
    "bright": _bright,
    "flat": _smooth,
    "still": lambda photo: photo,
}


def clips(
    n_frames: int, photos: Path | None = None, styles: tuple[str, ...] = tuple(STYLES), without: Collection[str] = ()
) -> Iterator[Clip]:
    """One clip for each face and style in which a face is found. without: names of clips that are not wanted."""
    settings, engine = Settings(), LiteEngine()
    audio = load_audio(ASSETS / "speech_7s.wav", settings)
    found = sorted(photos.iterdir()) if photos is not None else []
    for seed, path in enumerate([ASSETS / "portrait.png", *found]):
        for style in styles:
            if (name := f"{path.stem}-{style}") in without:
                continue
            photo = load_image(path, settings)
            pixels = np.ascontiguousarray(photo.pixels[..., :3])
            try:
                styled = load_image(STYLES[style](pixels), settings)
                registration = engine.register(styled, Framing())
            except InputError as error:
                sys.stderr.write(f"{path.stem} as {style}: {error}\n")
                continue
            still = Controls(head_motion=0.0, blink=0.0) if style == "still" else Controls()
            session = engine.session(registration, still, RenderOptions(seed=seed))
            frames = [frame.copy() for frame in session.push(audio.samples[: n_frames * SAMPLES_PER_FRAME])]
            yield Clip(name, [*frames, *(frame.copy() for frame in session.flush())][:n_frames])
