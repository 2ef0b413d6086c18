"""Export to ONNX: any of the networks, plain or prepared, any size, batch dynamic."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from core.models.onnx_files import OPSET, SIGNATURES

SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "appearance_extractor": ((3, 256, 256),),
    "motion_extractor": ((3, 256, 256),),
    "warp_network": ((32, 16, 64, 64), (21, 3), (21, 3)),
    "decoder": ((256, 64, 64),),
    "stitch_network": ((21, 3), (21, 3)),
    "lmdm": ((80, 265), (265,), (80, 1103), ()),
}
"""Of the arguments of the published networks, without the batch."""


def export_network(network: nn.Module, name: str, path: Path, example: Sequence[Tensor] | None = None, *, optimize: bool = True) -> None:
    """Writes one ONNX file (opset 20, weights inside), with the argument and result names of `SIGNATURES[name]`.

    network: plain or prepared, in evaluation mode. example: arguments of batch 2 or more, for a network of another than the published size.
    optimize: simplify the graph, which takes as long as the export itself; ONNX Runtime does so on loading anyway, other runtimes may not.
    """
    signature = SIGNATURES[name]
    example = tuple(example) if example is not None else example_arguments(name, network)
    batch = torch.export.Dim("batch", min=1, max=4096)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    try:
        quiet.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter warns of its own deprecations.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                example,
                temporary,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(signature.inputs),
                output_names=list(signature.outputs),
                dynamic_shapes=tuple({0: batch} for _ in example),
                external_data=False,
                optimize=optimize,
                verbose=False,
            )
        os.replace(temporary, path)
    finally:
        quiet.setLevel(level)
        Path(temporary).unlink(missing_ok=True)


def example_arguments(name: str, network: nn.Module) -> tuple[Tensor, ...]:
    """Arguments of the published size, batch 2, on the network's device."""
    device = next((t.device for t in (*network.parameters(), *network.buffers())), torch.device("cpu"))
    shapes = SHAPES[name]
    generator = torch.Generator().manual_seed(0)
    out = [torch.rand((2, *shape), generator=generator).to(device) for shape in shapes]
    if name == "lmdm":
        out[-1] = torch.tensor([999, 499], device=device)
    return tuple(out)
