"""Finds the 203 landmarks of a face crop with LivePortrait's network (arXiv:2407.03168; `landmark203.onnx`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import EngineUnavailable
from core.types import Frame

Array = NDArray[np.float32]
INPUT_PX = 224
N_POINTS = 203


class Landmark203:
    """(224, 224, 3) uint8 RGB crop of a face -> (203, 2) float32, x and y in pixels of the crop.

    network: (1, 3, 224, 224) float32 RGB 0..1 -> arrays, one of them with 406 numbers 0..1. The published files differ in how many more
    outputs they have, so the right one is known by its size.
    """

    def __init__(self, network: Callable[[Array], Sequence[Array]]) -> None:
        self._network = network

    def __call__(self, crop: Frame) -> Array:
        for output in self._network(landmark_blob(crop)):
            if output.size == 2 * N_POINTS:
                return np.asarray(output, np.float32).reshape(N_POINTS, 2) * np.float32(INPUT_PX)
        raise EngineUnavailable("The landmark network has no output of 203 points.", "Fetch it again: python model_manager.py verify.")


def landmark_blob(crop: Frame) -> Array:
    """(224, 224, 3) uint8 RGB -> (1, 3, 224, 224) float32 0..1."""
    return np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
