"""The mouth of a tracked face in each frame of a clip: where its lines are, how it differs from rest, and the warp that draws it anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from core.lite.lip_edge import lip_below
from core.lite.local_frame import Array
from core.lite.mouth_warp import (
    CHEEKS,
    CHIN,
    CORNERS,
    JAW_LEFT,
    JAW_RIGHT,
    JAW_SHARE,
    LOWER_INNER,
    LOWER_OUTER,
    LOWER_SHARE,
    NOSE_BASE,
    UPPER_INNER,
    UPPER_OUTER,
    MouthWarp,
)
from core.lite.renderer import JAW_OPEN
from core.optimization.resolution_optimization import Cut
from core.types import Frame

EYE_CORNERS = (33, 263)
"""Outer corners."""
INNER_LIPS = (13, 14)
"""Edges in the middle."""
KEPT = tuple(
    sorted({*CORNERS, *UPPER_OUTER, *LOWER_OUTER, *UPPER_INNER, *LOWER_INNER, NOSE_BASE, CHIN, JAW_LEFT, JAW_RIGHT, *CHEEKS[0], *CHEEKS[1]})
)
"""The points of the mesh that a mouth is drawn by."""
MESH_POINTS = 478
REST_S = 1.0
"""The width of the mouth at rest is the median of so many seconds before and after a frame: a smile stays, a rounded vowel does not."""
JAW_REST_S, CLOSED_SHARE = 2.0, 20.0
"""The jaw is at rest where it is in this percentage of so many seconds before and after a frame."""
SMOOTH_S = 0.12
"""Standard deviation of the smoothing of what cannot change quickly."""
JUMP = 0.35
"""A mouth that goes so far from one frame to the next, over the distance of the eye corners, is in another picture: nowhere in between."""
NARROWEST, WIDEST = 0.85, 1.25
"""Bounds of the width at rest over that in the picture; beyond them the measure is at fault."""


class TrackedFace(Protocol):
    """One person's face in the n frames of a clip, as `core.lite.clip_faces` finds it.

    points: (n, 478, 3) mesh, pixels of the frames. jaw_open, smile: (n,) blendshapes 0..1. weight: (n,) 0..1, how much of a new mouth
    is shown; 0 where the face cannot be used. fps: frames per second. cuts: numbers of the frames that begin another picture, growing.
    """

    @property
    def points(self) -> NDArray[np.float32]: ...
    @property
    def jaw_open(self) -> NDArray[np.float32]: ...
    @property
    def smile(self) -> NDArray[np.float32]: ...
    @property
    def weight(self) -> NDArray[np.float32]: ...
    @property
    def fps(self) -> float: ...
    @property
    def cuts(self) -> Sequence[int]: ...


@dataclass(frozen=True, eq=False)
class ClipMouths:
    """n frames; all arrays float32.

    points: (n, len(KEPT), 2), pixels of the clip's frames. eye_px: (n,) distance of the outer eye corners in space. rest_width: (n,) of the
    mouth at rest over that in the picture. by_jaw: (n,) part
    of the gap between the lips that the jaw has made, 0..1. smile, weight: as of `TrackedFace`.
    """

    points: Array
    eye_px: Array
    rest_width: Array
    by_jaw: Array
    smile: Array
    weight: Array

    @classmethod
    def of(cls, face: TrackedFace) -> ClipMouths:
        usable = np.split(face.weight > 0, face.cuts)

        def apart(pair: tuple[int, int]) -> Array:
            return np.asarray(np.linalg.norm(face.points[:, pair[0]] - face.points[:, pair[1]], axis=1), np.float32)

        def bridged(values: Array) -> Array:
            return np.concatenate([_bridged(*shot) for shot in zip(np.split(values, face.cuts), usable, strict=True)])

        def smoothed(values: Array, sigma: float = SMOOTH_S * face.fps) -> Array:
            return _by_shot(values, face.cuts, lambda shot: _smoothed(shot, sigma))

        def at_rest(values: Array, reach_s: float, percent: float) -> Array:
            return smoothed(_by_shot(values, face.cuts, lambda shot: _running(shot, round(reach_s * face.fps), percent)))

        eye_px = smoothed(bridged(apart(EYE_CORNERS)))
        widths = bridged(apart(CORNERS)) / np.maximum(eye_px, 1)
        gaps = apart(INNER_LIPS) / np.maximum(eye_px, 1)
        jaw = bridged(apart((NOSE_BASE, CHIN))) / np.maximum(eye_px, 1)
        dropped = smoothed(jaw, 0.5) - at_rest(jaw, JAW_REST_S, CLOSED_SHARE)
        by_shape = np.asarray(face.jaw_open, np.float32) / np.float32(JAW_OPEN)
        return cls(
            points=np.ascontiguousarray(face.points[:, KEPT, :2], np.float32),
            eye_px=eye_px,
            rest_width=np.clip(at_rest(widths, REST_S, 50) / np.maximum(widths, 1e-3), NARROWEST, WIDEST).astype(np.float32),
            by_jaw=np.clip(np.maximum(dropped / np.maximum(JAW_SHARE * LOWER_SHARE * gaps, 1e-3), by_shape), 0, 1).astype(np.float32),
            smile=np.asarray(face.smile, np.float32),
            weight=np.asarray(face.weight, np.float32),
        )

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` takes."""
        return {f"mouth_{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ClipMouths:
        return cls(**{field.name: arrays[f"mouth_{field.name}"] for field in fields(cls)})

    def warp(self, index: int, cut: Cut, picture: Frame) -> MouthWarp:
        """The mouth of one frame, of which `picture` shows `cut`."""
        mouth = self._warp(index, cut, picture.shape[1], picture.shape[0])
        below = lip_below(picture, mouth)
        return self._warp(index, cut, picture.shape[1], picture.shape[0], below) if below > 0 else mouth

    def _warp(self, index: int, cut: Cut, width: int, height: int, lip_below_px: float = 0.0) -> MouthWarp:
        scale = np.array([width / cut.width, height / cut.height], np.float32)
        points = np.zeros((MESH_POINTS, 2), np.float32)
        points[list(KEPT)] = (self.points[index] - np.array([cut.x, cut.y], np.float32)) * scale
        return MouthWarp(
            points,
            float(self.eye_px[index] * scale[0]),
            float(self.by_jaw[index]),
            float(self.smile[index]),
            float(self.rest_width[index]),
            lip_below_px,
        )

    def between(self, places: NDArray[np.float64]) -> ClipMouths:
        """(m,) places among the frames, in fractions, as m frames; no mouth is shown between two frames with a cut between them."""
        before = np.floor(places).astype(int)
        after, share = np.minimum(before + 1, len(self) - 1), (places - before).astype(np.float32)
        middle = self.points.mean(axis=1)
        away = np.linalg.norm(middle[after] - middle[before], axis=1)
        nowhere = (share > 0) & (away > JUMP * np.maximum(self.eye_px[before], self.eye_px[after]))

        def mixed(values: Array) -> Array:
            part = share.reshape(-1, *[1] * (values.ndim - 1))
            return np.asarray(values[before] * (1 - part) + values[after] * part)

        mouths = ClipMouths(**{field.name: mixed(getattr(self, field.name)) for field in fields(self)})
        return replace(mouths, weight=np.where(nowhere, np.float32(0), mouths.weight))

    def typical_half_px(self) -> float:
        """Half width of the mouth, the median of the frames that have one, pixels of the clip."""
        left, right = (self.points[:, KEPT.index(corner)] for corner in CORNERS)
        halves = np.linalg.norm(right - left, axis=1)[self.weight > 0] / 2
        return float(np.median(halves)) if len(halves) else 1.0

    def gaps(self) -> Array:
        """(n,) distance of the inner lips over that of the eye corners."""
        middle = [KEPT.index(point) for point in INNER_LIPS]
        apart = np.linalg.norm(self.points[:, middle[0]] - self.points[:, middle[1]], axis=1)
        return np.asarray(apart / np.maximum(self.eye_px, 1), np.float32)


def _by_shot(values: Array, cuts: Sequence[int], change: Callable[[Array], Array]) -> Array:
    """(n,) -> (n,), each shot apart: what was at rest in one says nothing of the next, nearer or of another expression."""
    return np.concatenate([change(shot) for shot in np.split(values, cuts) if len(shot)])


def _bridged(values: Array, usable: NDArray[np.bool_]) -> Array:
    """Values of the frames that are not usable lie between those beside them."""
    known = np.flatnonzero(usable)
    if not len(known):
        return values
    return np.interp(np.arange(len(values)), known, values[known]).astype(np.float32)


def _smoothed(values: Array, sigma: float) -> Array:
    smooth: Array = cv2.GaussianBlur(values[None], (0, 0), max(sigma, 0.5), borderType=cv2.BORDER_REPLICATE)[0]
    return smooth


def _running(values: Array, reach: int, percent: float) -> Array:
    """The percentile of each value and the `reach` before and after it, fewer at the ends."""
    found = [np.percentile(values[max(0, at - reach) : at + reach + 1], percent) for at in range(len(values))]
    return np.array(found, np.float32)
