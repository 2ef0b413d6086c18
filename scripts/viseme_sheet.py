"""Draws the mouth of every group of phones, and of a few syllables frame by frame, on some faces side by side.

    python scripts/viseme_sheet.py docs/pictures/visemes.png assets/portrait.png PHOTO... [--smile 1.0]

Each PHOTO is shown by its largest face, or with `:N` behind it by face N, counted from 0.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.engines.lite import LiteEngine, LiteRegistration
from core.lite.expression import spoken
from core.lite.phones import GROUPS, TABLE, curves
from core.lite.speaking import TOUCHING
from core.media.image import load_image
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings
from core.types import FPS, Frame, Samples

SIZE_PX = 512
TILE_W, TILE_H = 120, 120
"""Pixels of one mouth in the sheet."""
COLUMNS = 9
HEIGHT_OF_FACE = 0.62
"""Part of the face's height, from the chin up and a little below it, that a tile shows."""
TYPICAL = dict(zip(GROUPS, "_pbmfwθtdnslɹʃkɡŋhjaæeiouyə", strict=True))
SYLLABLES = ("ama", "iba", "afi", "uli", "apo", "oθi")
"""In IPA, one symbol a phone, after and before silence."""
PHONE_S, SILENCE_S = 0.12, 0.2
COLOURS = 256
"""Of the sheet: few are enough, and the file stays small."""
INK, PAPER = (40, 40, 40), 255


def steady() -> Iterator[tuple[str, Samples]]:
    """A typical phone of each group, held: the group's name and the row of the mouth."""
    for group in GROUPS:
        target = TABLE[TYPICAL[group]]
        yield group, np.array([target.aperture, target.spread, target.tuck, 0.5], np.float32)


def syllable(phones: str) -> list[tuple[str, Samples]]:
    """COLUMNS frames of one syllable, from its first phone on."""
    edges = [SILENCE_S + n * PHONE_S for n in range(len(phones) + 1)]
    segments = [("_", 0.0, SILENCE_S), *zip(phones, edges, edges[1:], strict=False), ("_", edges[-1], edges[-1] + SILENCE_S)]
    times = SILENCE_S + 0.02 + np.arange(COLUMNS) / FPS
    rows = curves(segments, times)
    return [(f"{phones} {1000 * (at - SILENCE_S):.0f} ms", np.array([*row, 0.5], np.float32)) for at, row in zip(times, rows, strict=True)]


def pressed(label: str, row: Samples) -> float:
    """Lips that touch while somebody speaks press together."""
    return 0.0 if label == "silence" else max(0.0, 1 - float(row[0]) / TOUCHING)


class Face:
    """One face of one photo, drawn at SIZE_PX."""

    def __init__(self, engine: LiteEngine, named: str) -> None:
        path, _, index = named.partition(":")
        registration = engine.register(load_image(Path(path), Settings()), Framing(int(index or 0)))
        if not isinstance(registration, LiteRegistration):
            raise SystemExit(f"{path} is not a photo")
        self._calibration = registration.calibration
        self._renderer = renderer = registration.renderer(RenderOptions(size=SIZE_PX))
        x0, _, x1, y1 = renderer.face_box
        side = HEIGHT_OF_FACE * (y1 - renderer.face_box[1])
        left, top = (x0 + x1) / 2 - side / 2, y1 + 0.12 * side - side
        self._part = tuple(int(round(value)) for value in (left, top, side))

    def mouth(self, row: Samples, smile: float, press: float) -> Frame:
        """(TILE_H, TILE_W, 3): the part of the face around the mouth."""
        lips = spoken(row, Controls(smile=smile), self._calibration)
        picture = self._renderer.draw(dataclasses.replace(lips, press=press))
        left, top, side = self._part
        padded = cv2.copyMakeBorder(picture, side, side, side, side, cv2.BORDER_REPLICATE)
        part = padded[top + side : top + 2 * side, left + side : left + 2 * side]
        return np.asarray(cv2.resize(part, (TILE_W, TILE_H), interpolation=cv2.INTER_AREA), np.uint8)


def line(label_and_row: Iterable[tuple[str, Samples]], faces: list[Face], smile: float) -> Frame:
    """Up to COLUMNS mouths, their names above, the faces below each other."""
    columns = []
    for label, row in label_and_row:
        head = np.full((18, TILE_W, 3), PAPER, np.uint8)
        cv2.putText(head, _ascii(label), (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
        columns.append(np.vstack([head, *(face.mouth(row, smile, pressed(label, row)) for face in faces)]))
    columns += [np.full_like(columns[0], PAPER)] * (COLUMNS - len(columns))
    return np.hstack(columns)


def _ascii(label: str) -> str:
    """OpenCV's letters have no IPA."""
    return label.replace("θ", "th")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--smile", type=float, default=Controls().smile)
    asked = parser.parse_args()
    engine = LiteEngine()
    faces = [Face(engine, photo) for photo in asked.photos]
    groups = list(steady())
    lines = [line(groups[at : at + COLUMNS], faces, asked.smile) for at in range(0, len(groups), COLUMNS)]
    lines += [line(syllable(phones), faces, asked.smile) for phones in SYLLABLES]
    Image.fromarray(np.vstack(lines)).quantize(COLOURS, dither=Image.Dither.NONE).save(asked.out, optimize=True)


if __name__ == "__main__":
    main()
