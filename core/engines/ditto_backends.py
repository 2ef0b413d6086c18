"""Decides what runs Ditto's networks, and its speech encoder: which attempts are made, in which order, and what is said about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.errors import EngineUnavailable, OptionError, TalkingHeadError
from core.optimization.gpu_optimization import gpu_obstacle

log = logging.getLogger(__name__)

T = TypeVar("T")
TORCH = ("torch", "torch-compile")
ONNX_PROVIDERS = {"onnxruntime": "CUDAExecutionProvider", "openvino": "OpenVINOExecutionProvider"}
"""What ONNX files are run by, and the provider of ONNX Runtime that it is on a GPU, or for OpenVINO on a CPU."""
TENSORRT = "tensorrt"
"""Engines built from the ONNX files (scripts/cvt_onnx_to_trt.py)."""
BACKENDS = ("auto", *TORCH, *ONNX_PROVIDERS, TENSORRT)


@dataclass(frozen=True)
class Attempt:
    """One way to run the networks. device: as in `core.optimization.gpu_optimization.place`."""

    backend: str
    device: str | None


def attempts(onnx: bool, device: str | None, backend: str, engines: bool = False) -> list[Attempt]:
    """What is tried, in order; one alone where somebody asked for it. onnx: the files are ONNX files, else PyTorch checkpoints.

    engines: TensorRT engines lie beside the ONNX files, and TensorRT is installed.

    Raises OptionError for a name that is none, EngineUnavailable for a backend that does not run these files or is not installed.
    """
    if backend not in BACKENDS:
        raise OptionError(f"There is no backend {backend!r}.", f"Choose one of: {', '.join(BACKENDS)}.")
    if backend == "auto":
        first = "onnxruntime" if onnx else "torch"
        on_gpu = gpu_obstacle(device) is None
        chosen = [Attempt(TENSORRT, device)] if onnx and engines and on_gpu else []
        return [*chosen, Attempt(first, device), *([Attempt(first, "cpu")] if device is None and on_gpu else [])]
    if onnx == (backend in TORCH):
        files, other = ("ONNX files", "pytorch") if onnx else ("PyTorch checkpoints", "onnx")
        raise EngineUnavailable(f"The backend {backend} does not run {files}.", f"Leave it out, or take the other files: --format {other}.")
    if backend == "openvino":
        import onnxruntime

        if ONNX_PROVIDERS[backend] not in onnxruntime.get_available_providers():
            raise EngineUnavailable(
                f"The installed ONNX Runtime has no {ONNX_PROVIDERS[backend]}.", "Install one that has it, or leave --backend out."
            )
    return [Attempt(backend, device)]


def speech_attempts(on_gpu: bool) -> list[Attempt]:
    """What is tried for the speech encoder, an ONNX file. on_gpu: PyTorch runs the other networks on a GPU."""
    return [*([Attempt("torch", None)] if on_gpu else []), Attempt("onnxruntime", None)]


def first_that_runs(choices: Sequence[Attempt], load: Callable[[Attempt], T], what: str = "networks do") -> tuple[T, str]:
    """What `load` makes of the first attempt that it does not fail at, and what to say of those before; "" where the first one runs.

    load: loads the networks and runs them once. what: of Ditto's, for messages. What is wrong with the files (a TalkingHeadError other than
    EngineUnavailable) is raised at once. Raises EngineUnavailable where all fail.
    """
    said = ""
    for choice in choices:
        where = f"{choice.backend} on {choice.device or 'the device of its choice'}"
        try:
            return load(choice), said
        except Exception as error:  # of a driver, a compiler or a library: whatever it is, something else may run
            if isinstance(error, TalkingHeadError) and (choice is choices[-1] or not isinstance(error, EngineUnavailable)):
                raise
            why = f"{type(error).__name__}: {(str(error).splitlines() or ['no more is known'])[0]}"
            if choice is choices[-1]:
                hint = "Try another --backend or --device."
                raise EngineUnavailable(f"Ditto's {what} not run with {where} ({why}).", hint) from error
            said = f"ditto's {what} not run with {where} ({why}), so another way is taken"
            log.warning("%s", said)
    raise ValueError("nothing to try")
