"""HuBERT on ONNX Runtime, as published with Ditto (`hubert_streaming_fix_kv.onnx`, `hubert.onnx`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import EngineUnavailable

FEATURE_DIM = 1024


class Hubert:
    """(1, 6480) float32 samples, 16 kHz, -1..1, not normalised -> (20, 1024) float32. May be called from several threads.

    providers: ONNX Runtime's, the first that works is used. threads: of one call, 0 = ONNX Runtime decides.
    """

    def __init__(self, path: Path, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EngineUnavailable("The package onnxruntime is missing.", "Install it: pip install onnxruntime.") from error
        if not path.is_file():
            raise EngineUnavailable(f"The speech encoder {path} is missing.", "Download the checkpoints: python model_manager.py download.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # warnings about its own graph optimisation say nothing to anyone here
        wanted = [name for name in providers if name in onnxruntime.get_available_providers()] or ["CPUExecutionProvider"]
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), sess_options=options, providers=wanted)
            heard, said = self._session.get_inputs()[0], self._session.get_outputs()[0]
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise EngineUnavailable(
                f"The speech encoder {path} cannot be read ({type(error).__name__}).", "Fetch it again: python model_manager.py verify."
            ) from error
        self._input, self._output = heard.name, said.name
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.asarray(self._session.run([self._output], {self._input: samples})[0], np.float32)
        rows = rows[0] if rows.ndim == 3 and len(rows) == 1 else rows  # some exports keep the batch axis
        if rows.ndim != 2 or rows.shape[1] != FEATURE_DIM:
            raise EngineUnavailable(f"The speech encoder returned an array {rows.shape}.", f"It must return (20, {FEATURE_DIM}).")
        return rows
