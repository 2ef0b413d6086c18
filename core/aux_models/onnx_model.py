"""Runs a small ONNX network with a single input on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import EngineUnavailable
from core.optimization.gpu_optimization import leaves_gpu_unused

Array = NDArray[np.float32]


class OnnxModel:
    """(n, ...) float32 -> all outputs, in the file's order. May be called from several threads.

    what: the file's purpose, for messages. providers: ONNX Runtime's, the first that works is used. threads: of one call, 0 = it decides.
    """

    def __init__(self, path: Path, what: str, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EngineUnavailable("The package onnxruntime is missing.", "Install it: pip install onnxruntime.") from error
        if not path.is_file():
            raise EngineUnavailable(f"The {what} {path} is missing.", "Download the checkpoints: python model_manager.py download.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # warnings about its own graph optimisation say nothing to anyone here
        wanted = [name for name in providers if name in onnxruntime.get_available_providers()] or ["CPUExecutionProvider"]
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), sess_options=options, providers=wanted)
            self._input = self._session.get_inputs()[0].name
            self.on_cpu_instead = what if leaves_gpu_unused(self._session, providers) else ""
            """What runs on the CPU though it was to run on a GPU; "" where all is as asked."""
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise EngineUnavailable(
                f"The {what} {path} cannot be read ({type(error).__name__}).", "Fetch it again: python model_manager.py verify."
            ) from error

    def __call__(self, blob: Array) -> list[Array]:
        return [np.asarray(output, np.float32) for output in self._session.run(None, {self._input: blob})]
