"""Where the person of one photo is, for every part of it that is shown and at every size: looked for once, not for each of them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from core.optimization.resolution_optimization import Box, Cut, bounded, cut_pixels, face_cut
from core.types import Frame

Array = NDArray[np.float32]

SIDE_PX = 512
"""Side of what is looked at: twice what the model works with."""
SEAM = 0.08
"""Part of its side within which the look at the head gives way to that at the whole photo."""


class PersonInPhoto:
    """find: (H, W, 3) uint8 -> (H, W) float32, 1 on people.

    Head and shoulders are looked at closely, the whole photo only where more than them is shown.
    """

    def __init__(self, photo: Frame, face_box: Box, find: Callable[[Frame], Array]) -> None:
        """photo: (H, W, 3); face_box: x0, y0, x1, y1 of the face in it, pixels."""
        self._photo, self._find = photo, find
        self._head = face_cut(photo.shape[1], photo.shape[0], face_box)
        self._close: Array | None = None
        self._whole: Array | None = None

    @property
    def nbytes(self) -> int:
        return sum(mask.nbytes for mask in (self._close, self._whole) if mask is not None)

    def mask(self, cut: Cut, width: int, height: int) -> Array:
        """(height, width) float32 of the part `cut` of the photo, 1 on the person."""
        if self._close is None:
            self._close = self._find(cut_pixels(self._photo, self._head, SIDE_PX, SIDE_PX))
        close = _resampled(self._close, self._head, cut, width, height)
        if _holds(self._head, cut):
            return close
        rows, columns = self._photo.shape[:2]
        if self._whole is None:
            self._whole = self._find(bounded(self._photo, SIDE_PX))
        whole = _resampled(self._whole, Cut(0, 0, columns, rows), cut, width, height)
        share = _inner(self._head, cut, width, height)
        return whole + (close - whole) * share


def _resampled(mask: Array, of: Cut, cut: Cut, width: int, height: int) -> Array:
    """`cut` of a mask that covers `of`; beyond it goes on as it ends."""
    rows, columns = mask.shape
    fx, fy = columns / of.width, rows / of.height
    sx, sy = cut.width / width * fx, cut.height / height * fy
    matrix = np.array([[sx, 0, (cut.x - of.x) * fx + 0.5 * sx - 0.5], [0, sy, (cut.y - of.y) * fy + 0.5 * sy - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out: Array = cv2.warpAffine(mask, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return out


def _holds(outer: Cut, inner: Cut) -> bool:
    near = 1e-6 * outer.width
    return (
        inner.x >= outer.x - near
        and inner.y >= outer.y - near
        and inner.x + inner.width <= outer.x + outer.width + near
        and inner.y + inner.height <= outer.y + outer.height + near
    )


def _inner(part: Cut, cut: Cut, width: int, height: int) -> Array:
    """(height, width): 1 deep inside `part`, falling to 0 at its edges, as seen in `cut`."""

    def along(start: float, length: float, first: float, shown: float, n: int) -> Array:
        at = first + (np.arange(n) + 0.5) * shown / n
        inside: Array = np.clip(np.minimum(at - start, start + length - at) / (SEAM * length), 0, 1).astype(np.float32)
        return inside

    columns = along(part.x, part.width, cut.x, cut.width, width)
    rows = along(part.y, part.height, cut.y, cut.height, height)
    both: Array = np.minimum(rows[:, None], columns[None, :])
    return both
