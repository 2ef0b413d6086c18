"""ONNX graphs in PyTorch give what ONNX Runtime gives: a graph of HuBERT's shape, and each operation in the forms that files have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from core.models.onnx_torch.graph import TorchGraph  # noqa: E402
from core.models.onnx_torch.node import UnknownOperation  # noqa: E402
from tests.support.hubert_graph import hubert_graph  # noqa: E402
from tests.support.operations import Operations  # noqa: E402

Array = np.ndarray[Any, Any]
CPU = torch.device("cpu")


def by_onnx_runtime(model: onnx.ModelProto, items: Array) -> Array:
    """(n, 1, ...) -> (n, ...), one by one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {session.get_inputs()[0].name: item})[0] for item in items])


def by_torch(model: onnx.ModelProto, items: Array, products: Any = torch.float32) -> Array:
    graph = TorchGraph(model, items.shape[1:], CPU, products)
    with torch.inference_mode():
        out: Array = graph(torch.from_numpy(items)).numpy()
    return out


def graph_of(nodes: Sequence[Any], shape: Sequence[int], opset: int, **values: Any) -> onnx.ModelProto:
    """From `x` to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def signals(n: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, (n, 1, 6480)).astype(np.float32)


def test_a_graph_of_huberts_shape() -> None:
    model = hubert_graph()
    items = signals(3)
    wanted = by_onnx_runtime(model, items)
    assert wanted.shape == (3, 20, 1024)
    assert np.abs(by_torch(model, items) - wanted).max() < 1e-5 * np.abs(wanted).max()
    half = by_torch(model, items, torch.float16)
    assert np.abs(half - wanted).max() < 5e-3 * np.abs(wanted).max()
    assert not np.array_equal(half, by_torch(model, items))


def test_only_what_depends_on_the_sound_is_computed_and_each_product_once_for_all_items() -> None:
    """A budget: shapes, turned weights and the normalised kernel are no operations, and four windows take as many as one."""
    graph = TorchGraph(hubert_graph(samples=6480), (1, 6480), CPU, torch.float32)
    counts = []
    for n in (1, 4):
        with torch.inference_mode(), Operations() as operations:
            graph(torch.from_numpy(signals(n)))
        counts.append(operations.n)
    assert counts[0] == counts[1] <= 460


def node(kind: str, *inputs: str, to: Sequence[str] = ("y",), **attributes: Any) -> Any:
    return helper.make_node(kind, ["x", *inputs], list(to), **attributes)


F = np.float32
INDEX = np.int64
RNG = np.random.default_rng(5)
W = RNG.standard_normal((4, 3)).astype(F)
PLAIN = ("Neg", "Abs", "Exp", "Erf", "Tanh", "Sigmoid", "Relu", "Identity", "Reciprocal")
FORMS: dict[str, tuple[list[Any], int, dict[str, Any]]] = {
    **{kind: ([node(kind)], 14, {}) for kind in PLAIN},
    "Add": ([node("Add", "w")], 14, {"w": W}),
    "Sub": ([helper.make_node("Sub", ["w", "x"], ["y"])], 14, {"w": W}),
    "Mul": ([node("Mul", "w")], 14, {"w": F(2)}),
    "Div": ([node("Div", "w")], 14, {"w": W}),
    "Pow": ([node("Pow", "two")], 14, {"two": F(2)}),
    "Sqrt": ([node("Mul", "x", to=["s"]), helper.make_node("Sqrt", ["s"], ["y"])], 14, {}),
    "Gelu": ([node("Gelu")], 20, {}),
    "Gelu by tanh": ([node("Gelu", approximate="tanh")], 20, {}),
    "Min and Max": ([node("Min", "w", to=["m"]), helper.make_node("Max", ["m", "x", "low"], ["y"])], 14, {"w": W, "low": F(-0.5)}),
    "Clip by attributes": ([node("Clip", min=-0.3, max=0.4)], 6, {}),
    "Clip by inputs": ([node("Clip", "", "high")], 14, {"high": F(0.2)}),
    "Where": ([helper.make_node("Where", ["c", "x", "w"], ["y"])], 14, {"c": W > 0, "w": W}),
    "Cast": ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], 14, {}),
    "Dropout": ([node("Dropout", to=["y"])], 14, {}),
    "Softmax": ([node("Softmax", axis=-1)], 14, {}),
    "Softmax over all that follows": ([node("Softmax", axis=1)], 11, {}),
    "ReduceMean by attribute": ([node("ReduceMean", axes=[-1], keepdims=0)], 14, {}),
    "ReduceMean by input": ([node("ReduceMean", "a")], 18, {"a": np.array([1], INDEX)}),
    "ReduceMean of all": ([node("ReduceMean", keepdims=0)], 14, {}),
    "ReduceSum": ([node("ReduceSum", "a")], 14, {"a": np.array([1, 2], INDEX)}),
    "ReduceMax": ([node("ReduceMax", axes=[2])], 14, {}),
    "ReduceL2": ([node("ReduceL2", axes=[1])], 14, {}),
    "LayerNormalization": ([node("LayerNormalization", "s", "b", axis=-1)], 17, {"s": W[0], "b": W[1]}),
    "LayerNormalization without an offset": ([node("LayerNormalization", "s", axis=1, to=["y", "mean"])], 17, {"s": W}),
    "InstanceNormalization": ([node("InstanceNormalization", "s", "b", epsilon=1e-3)], 14, {"s": W[:, 0], "b": W[:, 1]}),
    "BatchNormalization": ([node("BatchNormalization", "s", "b", "b", "v")], 14, {"s": W[:, 0], "b": W[:, 1], "v": W[:, 2] ** 2}),
    "MatMul": ([node("MatMul", "w")], 14, {"w": W.T}),
    "MatMul of two computed": ([node("Transpose", perm=[0, 2, 1], to=["t"]), node("MatMul", "t")], 14, {}),
    "Gemm": (
        [node("Reshape", "s", to=["m"]), helper.make_node("Gemm", ["m", "w", "c"], ["y"], alpha=0.5, beta=2.0, transB=1)],
        14, {"s": np.array([4, 3], INDEX), "w": W, "c": W[:, 0]},
    ),
    "Gemm turned": (
        [node("Squeeze", "s", to=["m"]), helper.make_node("Gemm", ["m", "w"], ["y"], transA=1)], 14, {"s": np.array([0], INDEX), "w": W},
    ),
    "Conv": ([node("Conv", "w", "b", pads=[1, 1], strides=[2])], 14, {"w": RNG.standard_normal((2, 4, 2)).astype(F), "b": F([1, 2])}),
    "Conv padded at one end": ([node("Conv", "w", pads=[2, 0], dilations=[2], group=2)], 14, {"w": W[:, None].repeat(2, 1)[..., :2]}),
    "Transpose": ([node("Transpose", perm=[2, 0, 1])], 14, {}),
    "Transpose of all": ([node("Transpose")], 14, {}),
    "Reshape": ([node("Reshape", "s")], 14, {"s": np.array([0, 2, -1], INDEX)}),
    "Flatten": ([node("Flatten", axis=2)], 14, {}),
    "Squeeze by attribute": ([node("Squeeze", axes=[0])], 11, {}),
    "Squeeze of all": ([node("Squeeze")], 14, {}),
    "Unsqueeze by attribute": ([node("Unsqueeze", axes=[0, -1])], 11, {}),
    "Unsqueeze by input": ([node("Unsqueeze", "a")], 14, {"a": np.array([1, 4], INDEX)}),
    "Concat": ([node("Concat", "w", axis=1)], 14, {"w": W[None]}),
    "Slice by attributes": ([node("Slice", starts=[1], ends=[-1], axes=[1])], 9, {}),
    "Slice by inputs": (
        [node("Slice", "s", "e", "a", "t")], 14,
        {"s": np.array([0, -2], INDEX), "e": np.array([2**62, 3], INDEX), "a": np.array([1, -1], INDEX), "t": np.array([2, 1], INDEX)},
    ),
    "Split by attribute": ([node("Split", axis=1, split=[1, 3], to=["z", "y"])], 11, {}),
    "Split by input": ([node("Split", "p", axis=-1, to=["y", "z"])], 14, {"p": np.array([2, 1], INDEX)}),
    "Split in equal parts": ([node("Split", axis=1, num_outputs=2, to=["z", "y"])], 18, {}),
    "Gather": ([node("Gather", "i", axis=1)], 14, {"i": np.array([[3, -1], [0, 0]], INDEX)}),
    "Gather of one": ([node("Gather", "i", axis=-1)], 14, {"i": np.array(1, INDEX)}),
    "Expand": ([node("Expand", "s")], 14, {"s": np.array([2, 2, 1, 3], INDEX)}),
    "Tile": ([node("Tile", "t")], 14, {"t": np.array([1, 2, 1], INDEX)}),
    "Pad by attribute": ([node("Pad", pads=[0, 1, 0, 0, 0, 2], value=0.5)], 2, {}),
    "Pad by input": ([node("Pad", "p")], 14, {"p": np.array([0, 0, 1, 0, 2, 0], INDEX)}),
    "Pad by axes": ([node("Pad", "p", "v", "a")], 18, {"p": np.array([1, 2], INDEX), "v": F(0.5), "a": np.array([-1], INDEX)}),
    "Shape and Size": (
        [
            node("Shape", start=1, to=["s"]), node("Size", to=["n"]),
            helper.make_node("Concat", ["s", "one"], ["t"], axis=0), helper.make_node("Reshape", ["x", "t"], ["r"]),
            helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT), helper.make_node("Mul", ["r", "f"], ["y"]),
        ],
        15, {"one": np.array([1], INDEX)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_operation(form: str) -> None:
    nodes, opset, values = FORMS[form]
    items = np.random.default_rng(1).standard_normal((2, 1, 4, 3)).astype(np.float32)
    model = graph_of(nodes, items.shape[1:], opset, **values)
    np.testing.assert_allclose(by_torch(model, items), by_onnx_runtime(model, items), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("taken", [True, False])
def test_a_branch_that_the_graph_itself_decides(taken: bool) -> None:
    """Old exporters wrote one for every axis that might be left out."""

    def branch(kind: str, **values: Any) -> Any:
        out = helper.make_tensor_value_info(f"{kind}_out", TensorProto.FLOAT, None)
        weights = [numpy_helper.from_array(value, name) for name, value in values.items()]
        return helper.make_graph([helper.make_node(kind, ["x", *values], [f"{kind}_out"])], kind, [], [out], weights)

    nodes = [
        node("Shape", to=["s"]), helper.make_node("Gather", ["s", "zero"], ["first"]), helper.make_node("Equal", ["first", "one"], ["c"]),
        helper.make_node("If", ["c"], ["b"], then_branch=branch("Squeeze", a=np.array([0], INDEX)), else_branch=branch("Identity")),
        helper.make_node("Neg", ["b"], ["y"]),
    ]  # fmt: skip
    items = np.random.default_rng(1).standard_normal((2, 1 if taken else 2, 3)).astype(np.float32)
    model = graph_of(nodes, items.shape[1:], 14, zero=np.array(0, INDEX), one=np.array(1, INDEX))
    got = by_torch(model, items)
    assert got.shape == ((2, 3) if taken else (2, 2, 3))
    assert np.array_equal(got, -items.reshape(got.shape))


def test_what_is_not_known_is_named() -> None:
    for nodes, said in (
        ([node("Det")], "Det"),
        ([helper.make_node("Inverse", ["x"], ["y"], domain="com.microsoft")], r"com\.microsoft\.Inverse"),
        ([node("Slice", starts=[-1], ends=[-5], axes=[1], steps=[-1])], "Slice backwards"),
        ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64)], "whole numbers"),
        ([node("Pad", pads=[0, 0, 1, 0, 0, 1], mode="reflect")], "Pad by reflect"),
        ([node("Shape", to=["y"])], "does not depend"),
    ):
        with pytest.raises(UnknownOperation, match=said):
            TorchGraph(graph_of(nodes, (1, 4, 3), 10), (1, 4, 3), CPU, torch.float32)


def test_a_file_is_read_as_the_published_one_is(tmp_path: Path) -> None:
    """From the disk, its weights beside it, as large ones are kept."""
    onnx.save(hubert_graph(), tmp_path / "h.onnx", save_as_external_data=True, location="h.bin")
    items = signals(1)
    assert np.array_equal(by_torch(onnx.load(tmp_path / "h.onnx"), items), by_torch(hubert_graph(), items))
