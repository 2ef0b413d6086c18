"""Counts what a network gives a device to do: operations of PyTorch and launches of kernels."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Kernel:
    """Stands where a kernel stands: started with a grid, it is called with the tensors."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def __getitem__(self, grid: Any) -> Any:
        return self.run


class Launches:
    """A module of kernels that do nothing and are counted."""

    def __init__(self) -> None:
        self.n = 0

    def __getattr__(self, name: str) -> Kernel:
        return Kernel(lambda *given, **options: setattr(self, "n", self.n + 1))


class Operations(TorchDispatchMode):
    """Counts what is computed, and not what only looks at the same numbers in another shape."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += not (func.is_view or func.name().startswith(("aten::empty", "aten::new_empty", "aten::detach")))
        return func(*args, **(kwargs or {}))
