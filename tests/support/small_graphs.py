"""ONNX graphs with the arguments and results of Ditto's networks that get a TensorRT engine, of a few operations each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.models.onnx_files import SIGNATURES

LARGE = 1e5
"""Of a weight that half precision cannot hold."""
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "appearance_extractor": {"image": (3, 16, 16)},
    "motion_extractor": {"image": (3, 16, 16)},
    "warp_network": {"feature_3d": (2, 3, 4, 5), "kp_source": (60, 3), "kp_driving": (60, 3)},
    "decoder": {"feature": (4, 8, 8)},
    "lmdm": {"x": (80, 5), "cond_frame": (5,), "cond": (80, 5), "time_cond": ()},
}
RESULTS: dict[str, tuple[int, ...]] = {
    "appearance_extractor": (4, 16, 16), "motion_extractor": (3,), "warp_network": (2, 3, 4, 5), "decoder": (3, 8, 8), "lmdm": (80, 5),
}  # fmt: skip


def small_graph(role: str, batch: int | str = "n") -> onnx.ModelProto:
    """batch: a name where it is dynamic."""
    rng = np.random.default_rng(0)
    weights = {"grid": np.array([-1, 3, 4, 5, 3]), "half": np.array(0.5, np.float32), "zero": np.array([1])}
    node = helper.make_node
    match role:
        case "appearance_extractor":
            weights |= {"w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32)}
            nodes = [node("Conv", ["image", "w"], ["pred"], pads=[1, 1, 1, 1])]
        case "motion_extractor":
            nodes = [node("GlobalAveragePool", ["image"], ["mean"]), node("Flatten", ["mean"], ["row"])]
            nodes += [node("Identity", ["row"], [name]) for name in SIGNATURES[role].outputs]
        case "warp_network":
            nodes = [
                node("Sub", ["kp_source", "kp_driving"], ["apart"]), node("Reshape", ["apart", "grid"], ["where"]),
                node("GridSample", ["feature_3d", "where"], ["sampled"], mode="linear"), node("Mul", ["sampled", "half"], ["out"]),
            ]  # fmt: skip
        case "decoder":
            # A norm whose variance is too large for half precision, its squares summed.
            weights |= {"w": rng.standard_normal((3, 4, 1, 1)).astype(np.float32), "variance": np.full(4, LARGE, np.float32)}
            weights |= {"gain": np.full(4, 300, np.float32), "offset": np.zeros(4, np.float32), "axes": np.array([1])}
            nodes = [
                node("BatchNormalization", ["feature", "gain", "offset", "offset", "variance"], ["norm"]),
                node("Mul", ["norm", "norm"], ["squares"]), node("ReduceMean", ["squares", "axes"], ["mean"]),
                node("Sub", ["norm", "mean"], ["centred"]),
                node("Conv", ["centred", "w"], ["drawn"]), node("Sigmoid", ["drawn"], ["output"]),
            ]  # fmt: skip
        case _:
            nodes = [
                node("Cast", ["time_cond"], ["level"], to=TensorProto.FLOAT), node("Unsqueeze", ["cond_frame", "zero"], ["frame"]),
                node("Add", ["x", "frame"], ["moved"]), node("Mul", ["cond", "half"], ["told"]),
                node("Add", ["moved", "told"], ["x_start"]),
                node("Sub", ["x", "x_start"], ["pred_noise"]),
            ]  # fmt: skip
    used = {name for each in nodes for name in each.input}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64 if name == "time_cond" else TensorProto.FLOAT, [batch, *shape])
        for name, shape in SHAPES[role].items()
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *RESULTS[role]]) for name in SIGNATURES[role].outputs]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items() if name in used]
    graph = helper.make_graph(nodes, role, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def write_small_graphs(folder: Path, batch: int | str = "n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for role in SHAPES:
        onnx.save(small_graph(role, batch), folder / SIGNATURES[role].files[0])
    return folder
