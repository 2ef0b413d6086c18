"""Finds the person in a picture, pixel by pixel, with MediaPipe's model for selfies.

Model: selfie_segmentation.tflite (Google, Apache-2.0), shipped in `assets/`; NOTICE says where it is from.
"""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.aux_models.native_log import quiet_native_log
from core.errors import EngineUnavailable
from core.types import Frame

MODEL_PATH = Path(__file__).resolve().parents[2] / "assets" / "selfie_segmentation.tflite"


class PersonFinder:
    """Loads the model when it is asked for the first time. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segmenter: Any = None
        self._mp: Any = None

    def mask(self, pixels: Frame) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB -> (H, W) float32, 1 on people, 0 on what is behind them. Raises EngineUnavailable."""
        with self._lock:
            if self._segmenter is None:
                self._load()
            image = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
            found = self._segmenter.segment(image).confidence_masks[0].numpy_view()
            return np.clip(np.array(found, np.float32).reshape(pixels.shape[:2]), 0, 1)

    def _load(self) -> None:
        if not MODEL_PATH.is_file():
            raise EngineUnavailable(f"The model of the background assets/{MODEL_PATH.name} is missing.", "Restore it from the repository.")
        with quiet_native_log():
            import mediapipe as mp  # the engine that draws has loaded it already
            from mediapipe.tasks.python import BaseOptions, vision

            self._mp = mp
            self._segmenter = vision.ImageSegmenter.create_from_options(
                vision.ImageSegmenterOptions(base_options=BaseOptions(model_asset_path=str(MODEL_PATH)), output_confidence_masks=True)
            )
            atexit.register(self._forget)
            self._segmenter.segment(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.zeros((64, 64, 3), np.uint8)))  # it logs once

    def _forget(self) -> None:
        """At the interpreter's end MediaPipe's destructor would call into an executor that is gone, and fail noisily."""
        self._segmenter._handle = None
