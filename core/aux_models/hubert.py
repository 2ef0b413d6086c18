"""The HuBERT speech encoder on ONNX Runtime, from the files published with Ditto."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.aux_models.onnx_model import Array, OnnxModel
from core.errors import EngineUnavailable

FEATURE_DIM = 1024


class Hubert:
    """(1, 6480) float32 samples, 16 kHz, -1..1, not normalised -> (20, 1024) float32. Arguments and threads as for OnnxModel."""

    def __init__(self, path: Path, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0) -> None:
        self._model = OnnxModel(path, "speech encoder", providers, threads)

    def __call__(self, samples: Array) -> Array:
        rows = self._model(samples)[0]
        rows = rows[0] if rows.ndim == 3 and len(rows) == 1 else rows  # some exports keep the batch axis
        if rows.ndim != 2 or rows.shape[1] != FEATURE_DIM:
            raise EngineUnavailable(f"The speech encoder returned an array {rows.shape}.", f"It must return (20, {FEATURE_DIM}).")
        return rows
