"""The double's part for compiling ahead of time, by the rules of the real `spaces.zero.torch.aoti`.

- Capturing replaces a method; its first call ends the block, and its arguments are what was captured.
- Compiling is for calls on the GPU only. What it gives pickles as an archive and its weights, and is loaded once in each context, so once
  in each call.
- Applying puts it in the place of a method and empties the module's weights.

An archive is the exported graph, which is run as it is; with FAKE_SPACES_AOTI=inductor it is compiled for the CPU by AOTInductor, as on a
host for its GPU; with FAKE_SPACES_AOTI=broken it cannot be loaded, with =off compiling fails.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import Any
from unittest.mock import patch

import torch

import spaces

QUICKLY_COMPILED = {"cpp.simdlen": 1, "aot_inductor.compile_wrapper_opt_level": "O0"}
"""For code that is run a few times: half the time for the compiler."""


class _Captured(Exception):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.args, self.kwargs = args, kwargs


class Call:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}


@contextmanager
def aoti_capture(module: Any, call_method: str = "forward") -> Iterator[Call]:
    def capture(*args: Any, **kwargs: Any) -> None:
        raise _Captured(*args, **kwargs)

    call = Call()
    with patch.object(module, call_method, new=capture):
        try:
            yield call
        except _Captured as captured:
            call.args, call.kwargs = captured.args, captured.kwargs


class CompiledModel:
    def __init__(self, archive: bytes, inductor: bool) -> None:
        self.archive, self.inductor = archive, inductor
        self.loaded: ContextVar[Callable[..., Any] | None] = ContextVar("loaded", default=None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        loaded = self.loaded.get()
        if loaded is None:
            if os.environ.get("FAKE_SPACES_AOTI") == "broken" and not spaces.compiling:
                raise RuntimeError("cannot open shared object file")
            file = BytesIO(self.archive)
            loaded = torch._inductor.aoti_load_package(file) if self.inductor else torch.export.load(file).module()
            self.loaded.set(loaded)
        return loaded(*args, **kwargs)

    def __reduce__(self) -> Any:
        return CompiledModel, (self.archive, self.inductor)


def aoti_compile(exported_program: torch.export.ExportedProgram, inductor_configs: dict[str, Any] | None = None) -> CompiledModel:
    if not spaces.in_call():
        raise RuntimeError("there is no GPU outside of calls")
    assert exported_program.example_inputs is not None
    spaces.compiling = True
    archive, how = BytesIO(), os.environ.get("FAKE_SPACES_AOTI", "")
    if how == "off":
        raise RuntimeError("no compiler was found")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of its own parts and of weights that are parts of others
        if how == "inductor":
            configs = {**QUICKLY_COMPILED, **(inductor_configs or {})}
            torch._inductor.aoti_compile_and_package(exported_program, package_path=archive, inductor_configs=configs)
        else:
            torch.export.save(exported_program, archive)
    return CompiledModel(archive.getvalue(), how == "inductor")


def aoti_apply(compiled: CompiledModel, module: torch.nn.Module, call_method: str = "forward") -> None:
    setattr(module, call_method, compiled)
    about = {name: (tensor.device, tensor.dtype) for name, tensor in module.state_dict().items()}
    emptied = {name: torch.nn.Parameter(torch.empty_like(tensor, device="cpu")) for name, tensor in module.state_dict().items()}
    module.load_state_dict(emptied, assign=True)
    for name, (device, dtype) in about.items():
        emptied[name].data = torch.empty(0, device=device, dtype=dtype)
