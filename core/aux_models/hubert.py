"""The HuBERT speech encoder, in the files published with Ditto (`hubert_streaming_fix_kv.onnx`, `hubert.onnx`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.aux_models.onnx_model import Array
from core.errors import EngineUnavailable

FEATURE_DIM = 1024


class Hubert:
    """(1, 6480) float32 samples, 16 kHz, -1..1, not normalised -> (20, 1024) float32.

    network: the same, or with the batch axis kept: some exports do.
    """

    def __init__(self, network: Callable[[Array], Sequence[Array]]) -> None:
        self._network = network

    def __call__(self, samples: Array) -> Array:
        rows = self._network(samples)[0]
        rows = rows[0] if rows.ndim == 3 and len(rows) == 1 else rows
        if rows.ndim != 2 or rows.shape[1] != FEATURE_DIM:
            raise EngineUnavailable(f"The speech encoder returned an array {rows.shape}.", f"It must return (20, {FEATURE_DIM}).")
        return rows
