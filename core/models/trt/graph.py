"""Makes the ONNX graphs that TensorRT engines are built from: the precision of each network, and what TensorRT has no layer for.

The graph alone decides about precision: TensorRT 11 knows strongly typed networks only, and TensorRT 10 is told to treat them so.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from core.models.checkpoint import CheckpointError
from core.models.onnx_files import at_opset_20
from core.models.trt.grid_sample import without_volume_sampling
from core.models.trt.precision import in_half_precision
from core.models.trt.roles import PRECISION


def engine_graph(role: str, path: Path, folder: Path, *, volumes: bool) -> bytes:
    """The graph of one network, serialised. folder: for a converted copy of an older graph. volumes: GridSample of volumes may stay.

    Arguments and results keep their types. Raises CheckpointError for a file that is damaged or needs what nothing here has.
    """
    try:
        model = onnx.load(at_opset_20(path, folder) if role == "warp_network" else path)
    except CheckpointError:
        raise
    except Exception as error:  # protobuf's own classes
        raise CheckpointError(f"{path} is damaged or not an ONNX file.", "Fetch it again, or export the network.") from error
    if PRECISION[role] == "fp16":
        model = in_half_precision(model)
    if not volumes:
        model = without_volume_sampling(model)
    serialised: bytes = model.SerializeToString()
    return serialised
