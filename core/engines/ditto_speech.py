"""Loads Ditto's speech encoder: on a GPU that PyTorch uses, the graph of its ONNX file in PyTorch; else ONNX Runtime."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.atomic_components.pose import Array
from core.atomic_components.wav2feat import WINDOW, SpeechEncoder
from core.aux_models.hubert import Hubert
from core.aux_models.onnx_model import OnnxModel
from core.engines.ditto_backends import Attempt, first_that_runs, speech_attempts
from core.errors import EngineUnavailable
from core.optimization.batched_call import BatchedCall
from core.optimization.gpu_optimization import Placement

log = logging.getLogger(__name__)

SIZES = (1, 2, 4, 8)
"""Windows at once, where sessions share batches."""
GATHER_S = 0.004
"""As for windows of motion: one takes a few milliseconds, so it is worth waiting for others no longer."""
MOST_APART = 0.02
"""Most by which rows may differ from ONNX Runtime's, as a part of the largest number; half precision is off by a few thousandths."""


@dataclass(frozen=True)
class Speech:
    """encoder: makes one for each session. way: what runs it, where rows depend on more than the file; replaced: what was to run it and
    could not; on_cpu_instead: its name, where it runs on the CPU though it was to run on a GPU; "" otherwise."""

    encoder: Callable[[], SpeechEncoder]
    way: str = ""
    replaced: str = ""
    on_cpu_instead: str = ""
    warmup: Callable[[], None] = lambda: None  # noqa: E731 - a default, not a definition
    close: Callable[[], None] = lambda: None  # noqa: E731


def load_speech(path: Path, placement: Placement, shared_batches: bool) -> Speech:
    """placement: of the other networks. shared_batches: windows of several sessions are computed at once, on a GPU.

    Raises EngineUnavailable for a file that nothing here runs.
    """

    def load(attempt: Attempt) -> Speech:
        if attempt.backend == "torch":
            return speech_in_torch(path, placement.device, torch.float16, SIZES if shared_batches else SIZES[:1])
        model = OnnxModel(path, "speech encoder", placement.providers)
        hubert = Hubert(model)
        return Speech(lambda: hubert, on_cpu_instead=model.on_cpu_instead, warmup=lambda: _warm(hubert))

    speech, replaced = first_that_runs(speech_attempts(placement.device.type == "cuda"), load, "speech encoder does")
    return dataclasses.replace(speech, replaced=replaced)


def speech_in_torch(path: Path, device: torch.device, products: torch.dtype, sizes: tuple[int, ...]) -> Speech:
    """products: precision of matrix products; sums are float32. sizes: windows at once.

    Raises EngineUnavailable where the graph cannot be run so, or gives other rows than ONNX Runtime.
    """
    import onnx

    from core.models.onnx_torch.graph import TorchGraph
    from core.models.onnx_torch.node import UnknownOperation

    try:
        graph = TorchGraph(onnx.load(path), (1, WINDOW), device, products)
    except UnknownOperation as error:
        raise EngineUnavailable(f"The graph of {path} has what is not known here: {error}.", "It runs in ONNX Runtime.") from error

    def rows(samples: torch.Tensor) -> torch.Tensor:
        """(n, 6480) -> (n, 20, 1024); the graph may keep its batch axis."""
        out = graph(samples[:, None])
        return out.reshape(len(samples), *out.shape[-2:])

    heard = np.random.default_rng(0).uniform(-0.3, 0.3, (1, WINDOW)).astype(np.float32)
    with torch.inference_mode():
        found = rows(torch.from_numpy(heard).to(device))[0].float().cpu().numpy()
    wanted = Hubert(OnnxModel(path, "speech encoder"))(heard)
    if found.shape != wanted.shape:
        raise EngineUnavailable(f"Its rows are {found.shape} in PyTorch, {wanted.shape} in ONNX Runtime.")
    apart = float(np.abs(found - wanted).max()) / max(float(np.abs(wanted).max()), 1e-12)
    if not apart <= MOST_APART:  # also catches NaN
        raise EngineUnavailable(f"Its rows are {apart:.2g} off those of ONNX Runtime; the bound is {MOST_APART}.")
    name = str(products).removeprefix("torch.")
    log.info("ditto's speech encoder: PyTorch, products in %s, %.1g off ONNX Runtime", name, apart)
    server, clients = BatchedCall(rows, device, sizes, GATHER_S), itertools.count()

    def encoder() -> SpeechEncoder:
        client = next(clients)

        def encode(samples: Array) -> Array:
            found: Array = server((samples,), client)[0]
            return found

        return encode

    return Speech(encoder, f"speech in torch {name}", warmup=lambda: server.warmup((heard,)), close=server.close)


def _warm(hubert: Hubert) -> None:
    hubert(np.zeros((1, WINDOW), np.float32))
