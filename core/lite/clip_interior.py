"""The inside of the mouth in a clip: one picture of it, of the frame that shows it best, fitted to the light and size of each frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.lite.clip_mouths import KEPT, ClipMouths
from core.lite.local_frame import Array
from core.lite.mouth_interior import MouthInterior
from core.lite.mouth_warp import CORNERS, MouthShape, MouthWarp
from core.lite.open_mouth import OPEN_ENOUGH, OpenMouth
from core.optimization.resolution_optimization import Cut
from core.types import Frame

CANDIDATES = 6
"""Frames with open lips that are looked at."""
OPEN_GAP = 0.08
"""Distance of the lips over that of the eye corners from which on something is seen between them."""
ROOM = 1.3
"""Half sides of the kept picture, over half the mouth's width, beside the mouth; twice that below."""
FINER = 1.5
"""Pixels of the kept picture for one of the video."""
MAX_HALF_PX = 160.0
"""Half width of the kept mouth, at most."""
DARKEST, BRIGHTEST = 0.25, 3.0
"""Bounds of the change of light."""


@dataclass(frozen=True, eq=False)
class KeptMouth:
    """A mouth cut out of one frame. picture: (h, w, 3) uint8 RGB. points: (len(KEPT), 2) in its pixels.

    eye_px, by_jaw, smile: as in `ClipMouths`.
    """

    picture: Frame
    points: Array
    eye_px: float
    by_jaw: float
    smile: float

    def saved(self) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        """What `restored` takes."""
        return {"inside_picture": self.picture, "inside_points": self.points}, {
            f"inside_{name}": getattr(self, name) for name in ("eye_px", "by_jaw", "smile")
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> KeptMouth:
        given = {**arrays, **values}
        return cls(**{field.name: given[f"inside_{field.name}"] for field in fields(cls)})

    @classmethod
    def of(cls, frame: Frame, mouths: ClipMouths, index: int) -> KeptMouth:
        left, right = (mouths.points[index, KEPT.index(corner)] for corner in CORNERS)
        middle, half = (left + right) / 2, float(np.linalg.norm(right - left)) / 2
        height, width = frame.shape[:2]
        x0, y0 = max(0, int(middle[0] - ROOM * half)), max(0, int(middle[1] - ROOM * half))
        x1, y1 = min(width, int(middle[0] + ROOM * half) + 2), min(height, int(middle[1] + 2 * ROOM * half) + 2)
        part, scale = frame[y0:y1, x0:x1], min(1.0, MAX_HALF_PX / half)
        if scale < 1:
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        points = (mouths.points[index] - np.array([x0, y0], np.float32)) * np.float32(scale)
        return cls(
            np.ascontiguousarray(part),
            points.astype(np.float32),
            float(mouths.eye_px[index] * scale),
            float(mouths.by_jaw[index]),
            float(mouths.smile[index]),
        )

    def warp(self, picture: Frame) -> MouthWarp:
        """picture: the kept one, at any size."""
        whole = Cut(0, 0, self.picture.shape[1], self.picture.shape[0])
        one = ClipMouths(*(np.array([value], np.float32) for value in (self.points, self.eye_px, 1.0, self.by_jaw, self.smile, 1.0)))
        return one.warp(0, whole, picture)

    def inside(self, picture: Frame) -> tuple[MouthWarp, MouthInterior]:
        """The mouth and what is in it. picture: the kept one, at any size."""
        warp = self.warp(picture)
        is_open = warp.gap_px > OPEN_ENOUGH * warp.half
        return warp, OpenMouth(warp, picture) if is_open else MouthInterior(warp, picture, 1.0)

    @property
    def worth(self) -> float:
        """How much can be seen of teeth and tongue."""
        warp, inside = self.inside(self.picture)
        shown = 0.1 + inside.teeth if isinstance(inside, OpenMouth) else 0.0
        return shown * float(light_around(self.picture, warp).mean())


def candidates(mouths: ClipMouths, yaw_deg: Array) -> list[int]:
    """The frames in which most of the mouth's inside is seen, in order of time; none where it never opens."""
    gaps = mouths.gaps()
    score = gaps * np.cos(np.radians(yaw_deg)) ** 2 * (mouths.weight >= 1) * (gaps > OPEN_GAP)
    best = [int(at) for at in np.argsort(-score, kind="stable")[:CANDIDATES] if score[at] > 0]
    return sorted(best)


def best_inside(mouths: Iterable[KeptMouth]) -> KeptMouth:
    """The one that shows most of it."""
    return max(mouths, key=lambda mouth: mouth.worth)


class ClipInterior:
    """half: of a typical mouth of the video, output pixels."""

    def __init__(self, kept: KeptMouth, half: float) -> None:
        left, right = (kept.points[KEPT.index(corner)] for corner in CORNERS)
        scale = min(1.0, FINER * half / (float(np.linalg.norm(right - left)) / 2))
        size = round(kept.picture.shape[1] * scale), round(kept.picture.shape[0] * scale)
        picture: Frame = cv2.resize(kept.picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else kept.picture
        self._warp, self._interior = kept.inside(picture)
        self._contact = _contact(self._warp)
        self._light = light_around(picture, self._warp)

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for part in (self._interior, self._warp) for value in vars(part).values() if isinstance(value, np.ndarray))

    def fitted(self, mouth: MouthWarp, light: Array) -> FittedInterior:
        """For one frame. light: around its mouth, as `light_around` sees it."""
        gain = np.clip(light / np.maximum(self._light, 1), DARKEST, BRIGHTEST)
        return FittedInterior(self._interior, self._warp.half / mouth.half, self._contact, _contact(mouth), gain)


class FittedInterior:
    """An `Interior` (`core.lite.mouth_painting`) that is of another mouth, `larger` times as large."""

    def __init__(self, inside: MouthInterior, larger: float, its_contact: float, contact: float, gain: Array) -> None:
        self._inside, self._larger, self._gain = inside, larger, gain.astype(np.float32)
        self._its_contact, self._contact = its_contact, contact

    def colours(self, shape: MouthShape, x: Array, y: Array) -> Array:
        larger = np.float32(self._larger)
        below = (y - np.float32(self._contact)) * larger + np.float32(self._its_contact)
        return self._inside.colours_for(shape.jaw_px * self._larger, shape.rounding, shape.tongue, x * larger, below) * self._gain


def light_around(picture: Frame, mouth: MouthWarp) -> Array:
    """The mean colour of skin beside, above and below the mouth, (3,) float32 RGB. picture: in the pixels of `mouth`."""
    half = mouth.half
    spots = ((-1.25, 0.1), (1.25, 0.1), (0.0, 0.55 * mouth.chin_y / half + 0.45 * float(mouth.lower_outer.max()) / half))
    size = max(1, round(0.12 * half))
    height, width = picture.shape[:2]
    seen = []
    for x, y in spots:
        at = mouth.frame.origin + np.float32(x * half) * mouth.frame.ex + np.float32(y * half) * mouth.frame.ey
        column, row = int(np.clip(at[0], size, width - 1 - size)), int(np.clip(at[1], size, height - 1 - size))
        seen.append(picture[row - size : row + size + 1, column - size : column + size + 1].reshape(-1, 3).mean(axis=0))
    return np.asarray(np.mean(seen, axis=0), np.float32)


def _contact(mouth: MouthWarp) -> float:
    """Where the lips meet in the middle of the mouth."""
    return float(mouth.contact[len(mouth.contact) // 2])
