"""Reads the weights of networks that are computed in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def read_safetensors(path: Path) -> tuple[dict[str, F32], dict[str, str]]:
    """Tensors (of any float type, returned as read-only float32) and metadata of a safetensors file."""
    out: dict[str, F32] = {}
    with safetensors.safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            out[name] = file.get_tensor(name).astype(np.float32)
            out[name].setflags(write=False)
        return out, file.metadata() or {}
