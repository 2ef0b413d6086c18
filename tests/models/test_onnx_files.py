"""Published ONNX files: fixed batches, other argument names, opset 17 with a five-dimensional GridSample, and what cannot be run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")
onnx = pytest.importorskip("onnx", reason="ONNX files need onnx, which is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from core.models.checkpoint import CheckpointError  # noqa: E402
from core.models.modules.dense_motion import sample_volume  # noqa: E402
from core.models.onnx_files import SIGNATURES, OnnxNetwork, at_opset_20  # noqa: E402

VOLUME, KEYPOINTS = (2, 3, 4, 5), (60, 3)


def stand_in(opset: int = 17, operator: str = "GridSample", batch: int = 1) -> onnx.ModelProto:
    """A graph with the arguments and the peculiar operators of warp_network_ori.onnx: samples the volume at kp_source - kp_driving."""
    old = opset < 18
    nodes = [
        helper.make_node("Sub", ["kp_source", "kp_driving"], ["where_flat"]),
        helper.make_node("Reshape", ["where_flat", "grid_shape"], ["where"]),
        helper.make_node(operator, ["feature_3d", "where"], ["sampled"], mode="bilinear", padding_mode="zeros", align_corners=0),
        helper.make_node("Softmax", ["sampled"], ["soft"], axis=1),
        # Two that changed with opset 18: axes are an attribute before it, the number of outputs is one from it.
        helper.make_node("ReduceMean", ["soft"], ["mean"], keepdims=0, **({"axes": [2]} if old else {})),
        helper.make_node("Split", ["mean"], ["a", "b"], axis=1, **({} if old else {"num_outputs": 2})),
        helper.make_node("Add", ["a", "b"], ["out"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])
        for name, shape in (("feature_3d", VOLUME), ("kp_source", KEYPOINTS), ("kp_driving", KEYPOINTS))
    ]
    shape = numpy_helper.from_array(np.array([-1, *VOLUME[1:], 3]), "grid_shape")
    graph = helper.make_graph(nodes, "warp", inputs, [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)], [shape])
    domains = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("plugin", 1)] if operator != "GridSample" else [])
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def arguments(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    out = {name: rng.random((n, *shape), dtype=np.float32) * 2 - 1 for name, shape in (("feature_3d", VOLUME), ("kp_source", KEYPOINTS))}
    return {**out, "kp_driving": out["kp_source"] * 0.3}


def expected(given: dict[str, np.ndarray]) -> np.ndarray:
    where = torch.from_numpy(given["kp_source"] - given["kp_driving"]).view(-1, *VOLUME[1:], 3)
    mean = sample_volume(torch.from_numpy(given["feature_3d"]), where).softmax(1).mean(2)
    return mean.sum(1, keepdim=True).numpy()


def test_the_published_warp_network_is_converted_on_first_use(tmp_path: Path) -> None:
    path = tmp_path / "models" / "warp_network_ori.onnx"
    path.parent.mkdir()
    onnx.save(stand_in(), path)
    cache = tmp_path / "cache"
    made = at_opset_20(path, cache)
    assert made.parent == cache
    model = onnx.load(made)
    assert [o.version for o in model.opset_import if o.domain == ""] == [20]
    sampler = next(n for n in model.graph.node if n.op_type == "GridSample")
    assert {a.name: helper.get_attribute_value(a) for a in sampler.attribute}["mode"] == b"linear"
    stamp = made.stat().st_mtime_ns
    assert at_opset_20(path, cache) == made
    assert made.stat().st_mtime_ns == stamp
    assert list(cache.iterdir()) == [made]
    # Another file under the same name is another network.
    changed = stand_in()
    changed.producer_name = "another"
    onnx.save(changed, path)
    assert at_opset_20(path, cache) != made


def test_fixed_batches_run_item_by_item(tmp_path: Path) -> None:
    path = tmp_path / "warp_network_ori.onnx"
    onnx.save(stand_in(), path)
    network = OnnxNetwork("warp_network", path)
    for n in (1, 3):
        given = arguments(n)
        assert np.abs(network(**given)[0] - expected(given)).max() < 1e-6
    given = arguments(1)
    # By position: source before driving.
    assert np.array_equal(network(*given.values())[0], network(**given)[0])
    assert len(list(tmp_path.iterdir())) == 2


def test_a_graph_at_opset_20_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "warp_network_ori.onnx"
    onnx.save(stand_in(opset=20), path)
    assert at_opset_20(path) == path


def test_the_plugin_graph_names_the_one_without(tmp_path: Path) -> None:
    path = tmp_path / "warp_network.onnx"
    onnx.save(stand_in(operator="GridSample3D"), path)
    with pytest.raises(CheckpointError, match=r"needs a TensorRT plugin \(GridSample3D\)\. Use warp_network_ori\.onnx"):
        OnnxNetwork("warp_network", path)


def stitch(names: tuple[str, ...] = ("kp_source", "kp_driving")) -> onnx.ModelProto:
    """kp_driving alone: enough to tell its two arguments apart."""
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 21, 3]) for n in names]
    nodes = [helper.make_node("Identity", [names[-1] if "kp_driving" not in names else "kp_driving"], ["result"])]
    graph = helper.make_graph(nodes, "stitch", inputs, [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("names", [("kp_source", "kp_driving"), ("kp_driving", "kp_source"), ("a", "b")])
def test_arguments_go_by_name_else_by_the_published_order(names: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "stitch_network.onnx"
    onnx.save(stitch(names), path)
    network = OnnxNetwork("stitch_network", path)
    source, driving = np.zeros((2, 21, 3), np.float32), np.ones((2, 21, 3), np.float32)
    assert network(source, driving)[0].mean() == 1
    assert network(kp_driving=driving, kp_source=source)[0].mean() == 1


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    path = tmp_path / "stitch_network.onnx"
    onnx.save(stitch(), path)
    network = OnnxNetwork("stitch_network", path)
    one = np.zeros((1, 21, 3), np.float32)
    for bad in ({"kp_source": one}, {"kp_source": one, "kp": one}):
        with pytest.raises(TypeError, match="the arguments are kp_source, kp_driving"):
            network(**bad)
    with pytest.raises(TypeError, match="the arguments are"):
        network(one, one, one)


def test_files_that_cannot_be_run_are_named(tmp_path: Path) -> None:
    path = tmp_path / "decoder.onnx"
    with pytest.raises(CheckpointError, match="There is no"):
        OnnxNetwork("decoder", path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="cannot be run"):
        OnnxNetwork("decoder", path)
    with pytest.raises(CheckpointError, match="damaged or not an ONNX file"):
        OnnxNetwork("warp_network", path)
    onnx.save(stitch(), path)
    with pytest.raises(CheckpointError, match="takes kp_source, kp_driving; decoder takes feature"):
        OnnxNetwork("decoder", path)


def test_every_network_has_a_published_file() -> None:
    assert {name: s.files[0] for name, s in SIGNATURES.items()} == {
        "appearance_extractor": "appearance_extractor.onnx",
        "motion_extractor": "motion_extractor.onnx",
        "warp_network": "warp_network_ori.onnx",
        "decoder": "decoder.onnx",
        "stitch_network": "stitch_network.onnx",
        "lmdm": "lmdm_v0.4_hubert.onnx",
    }
