"""Runs a network from a TensorRT engine on torch tensors."""

from __future__ import annotations

import contextlib
import logging
import threading
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from core.models.onnx_files import SIGNATURES

log = logging.getLogger(__name__)


def logger_of(trt: ModuleType) -> Any:
    """A logger for TensorRT that hands on to Python's; `errors`: the messages of errors so far."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]  # a class of the module, which is loaded only where there is a GPU
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)
                log.warning("TensorRT: %s", message)
            else:
                log.debug("TensorRT: %s", message)

    return Logger()


class EngineNetwork:
    """One network, called like the torch module with tensors on `device`, with any batch size.

    Batches that the engine was not built for are cut into such that it was. May be called from several threads, one at a time.
    """

    def __init__(self, name: str, engine: bytes, device: torch.device, trt: ModuleType) -> None:
        """name: a key of SIGNATURES. Raises RuntimeError for an engine that does not load here."""
        self._trt, self._device, self._lock = trt, device, threading.Lock()
        self._logger = logger_of(trt)
        with on(device):
            self._runtime = trt.Runtime(self._logger)
            self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise RuntimeError(f"TensorRT does not load the engine of {name}: {(self._logger.errors or ['it says nothing'])[-1]}")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        given = [each for each in names if self._engine.get_tensor_mode(each) == trt.TensorIOMode.INPUT]
        signature = SIGNATURES[name]
        self._outputs = [each for each in names if each not in given][: len(signature.outputs)]
        self._inputs = list(signature.inputs) if set(given) == set(signature.inputs) else given
        if len(self._inputs) != len(signature.inputs) or len(self._outputs) != len(signature.outputs):
            raise RuntimeError(f"the engine of {name} takes {', '.join(given)}")
        kinds = {"FLOAT": torch.float32, "HALF": torch.float16, "INT64": torch.int64, "INT32": torch.int32, "BOOL": torch.bool}
        self._dtypes = {each: kinds[self._engine.get_tensor_dtype(each).name] for each in names}
        first, profiles = self._inputs[0], range(self._engine.num_optimization_profiles)
        fixed = self._engine.get_tensor_shape(first)[0] != -1
        limits = [self._engine.get_tensor_profile_shape(first, i) for i in profiles]
        self._batches = [(1, 1)] if fixed else [(low[0], high[0]) for low, _, high in limits]
        self._contexts: dict[int, Any] = {}

    @property
    def largest_batch(self) -> int:
        return max(high for _, high in self._batches)

    def __call__(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        n, most = len(arguments[0]), self.largest_batch
        with self._lock, on(self._device):
            parts = [self._run([argument[i : i + most] for argument in arguments]) for i in range(0, n, most)]
        return parts[0] if len(parts) == 1 else tuple(torch.cat(results) for results in zip(*parts, strict=True))

    def example(self, batch: int) -> list[Tensor]:
        """Arguments to try the network with, from a fixed seed."""
        generator = torch.Generator().manual_seed(0)
        out = []
        for name in self._inputs:
            shape = (batch, *tuple(self._engine.get_tensor_shape(name))[1:])
            whole = self._dtypes[name] == torch.int64  # a noise level
            values = torch.full(shape, 499) if whole else torch.rand(shape, generator=generator) - (0.5 if name.startswith("kp_") else 0)
            out.append(values.to(self._device))
        return out

    def _run(self, arguments: list[Tensor]) -> tuple[Tensor, ...]:
        n = len(arguments[0])
        stream = torch.cuda.current_stream(self._device).cuda_stream if self._device.type == "cuda" else 0
        context = self._context(next(i for i, (low, high) in enumerate(self._batches) if low <= n <= high), stream)
        held = []  # until the call is on its way: what it reads must not be given to somebody else
        for name, argument in zip(self._inputs, arguments, strict=True):
            value = argument.to(self._device, self._dtypes[name]).contiguous()
            held.append(value)
            if not context.set_input_shape(name, tuple(value.shape)):
                raise RuntimeError(f"the engine does not take {name} of {tuple(value.shape)}")
            context.set_tensor_address(name, value.data_ptr())
        results = []
        for name in self._all_outputs():
            shape = tuple(context.get_tensor_shape(name))
            result = torch.empty(shape, dtype=self._dtypes[name], device=self._device)
            context.set_tensor_address(name, result.data_ptr())
            results.append(result)
        if not context.execute_async_v3(stream):
            raise RuntimeError(f"TensorRT failed: {(self._logger.errors or ['it says nothing'])[-1]}")
        return tuple(results[: len(self._outputs)])

    def _all_outputs(self) -> list[str]:
        """Those that the network has beside its results want an address too."""
        rest = [each for each in self._dtypes if each not in self._inputs and each not in self._outputs]
        return [*self._outputs, *rest]

    def _context(self, profile: int, stream: int) -> Any:
        if profile not in self._contexts:
            context = self._engine.create_execution_context()
            if context is None:
                raise torch.OutOfMemoryError("TensorRT has no room for an execution context")
            if not context.set_optimization_profile_async(profile, stream):
                raise RuntimeError(f"TensorRT does not take the optimisation profile {profile}")
            self._contexts[profile] = context
        return self._contexts[profile]


def on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """TensorRT uses the current device of the thread."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
