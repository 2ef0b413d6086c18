"""Sampling of volumes by gathers equals GridSample in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="ONNX files need onnx, which is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX files need onnxruntime, which is not installed")

from onnx import TensorProto, helper  # noqa: E402

from core.models.checkpoint import CheckpointError  # noqa: E402
from core.models.trt.grid_sample import without_volume_sampling  # noqa: E402


def sampler(batch: int | str = "n", rank: int = 5, **attributes: object) -> onnx.ModelProto:
    """(volume, grid) -> 2 * sampled, sizes dynamic but for the batch where it is given."""
    volume = helper.make_tensor_value_info("volume", TensorProto.FLOAT, [batch, *"cdhw"[: rank - 1]])
    grid = helper.make_tensor_value_info("grid", TensorProto.FLOAT, [batch, *"xyz"[: rank - 2], rank - 2])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, "c", *"xyz"[: rank - 2]])
    nodes = [
        helper.make_node("GridSample", ["volume", "grid"], ["sampled"], **{"mode": "linear", **attributes}),
        helper.make_node("Add", ["sampled", "sampled"], ["out"]),
    ]
    graph = helper.make_graph(nodes, "sampler", [volume, grid], [out])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: onnx.ModelProto, volume: np.ndarray, grid: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    out: np.ndarray = session.run(None, {"volume": volume, "grid": grid})[0]
    return out


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("batch", ["n", 1])
def test_gathers_equal_grid_sample(align_corners: int, batch: int | str) -> None:
    model = sampler(batch, align_corners=align_corners)
    rewritten = without_volume_sampling(model)
    onnx.checker.check_model(rewritten)
    assert not any(node.op_type == "GridSample" for node in rewritten.graph.node)
    rng = np.random.default_rng(0)
    for n in (1,) if batch == 1 else (1, 3):
        volume = rng.standard_normal((n, 5, 3, 4, 6)).astype(np.float32)
        grid = rng.uniform(-1.6, 1.6, (n, 2, 7, 3, 3)).astype(np.float32)  # outside too
        grid[0, 0, 0] = [[-1, -1, -1], [1, 1, 1], [0, 0, 0]]
        np.testing.assert_allclose(run(rewritten, volume, grid), run(model, volume, grid), atol=2e-6)


def test_pictures_are_left_alone() -> None:
    model = sampler(rank=4)
    assert [node.op_type for node in without_volume_sampling(model).graph.node] == ["GridSample", "Add"]


@pytest.mark.parametrize("other", [{"mode": "nearest"}, {"padding_mode": "border"}])
def test_other_ways_of_sampling_are_refused(other: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="GridSample"):
        without_volume_sampling(sampler(**other))
