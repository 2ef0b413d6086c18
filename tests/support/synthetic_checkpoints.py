"""A complete set of Ditto checkpoints in the published layout and formats, from a seed.

    root = write_checkpoints(tmp_path, TINY)        # or PUBLISHED: 710 MB of networks
    engine = DittoEngine(checkpoints(root))             # write_onnx_checkpoints, checkpoints(root, ONNX_FILES)

The networks are the real ones with synthetic weights (`synthetic.py`), small (TINY) or of the published size. What is not a network of this
project has a stand-in with the published inputs and outputs: speech encoder, 203 landmarks, InsightFace's two. The stand-ins of the
landmarks know one face: the one that fills their crop.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from core.aux_models.face_mesh import MODEL_PATH
from core.engines import ditto_networks
from core.engines.ditto_networks import NETWORKS
from core.models.checkpoint import PUBLISHED as CONTAINERS
from core.models.export import example_arguments, export_network
from manager.catalogue import load_catalogue
from tests.support.golden_io import SEED
from tests.support.network_sizes import TINY as TINY
from tests.support.synthetic import fill_state_dict, synthetic_input

Array = NDArray[np.float32]

PUBLISHED: dict[str, dict[str, Any]] = {}
FILES = {file.role: file.path for file in load_catalogue().formats["pytorch"]}
ONNX_FILES = {file.role: file.path for file in load_catalogue().formats["onnx"] if file.extra in ("", "insightface")}
ROOT = "ditto_pytorch/"


@contextmanager
def tiny_networks() -> Iterator[None]:
    """The engine takes checkpoints written as TINY, on one thread: networks this small only wait for each other's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ditto_networks, "SIZES", TINY)
        yield
    torch.set_num_threads(threads)


def write_checkpoints(
    folder: Path, sizes: Mapping[str, Mapping[str, Any]], seed: int = SEED, defaults: Mapping[str, Any] | None = None
) -> Path:
    """Writes the set below `folder` and returns it. defaults: `default_kwargs` of the configuration."""
    for role, path in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if role in NETWORKS:
            write_network(role, folder / path, sizes.get(role, {}), seed)
    onnx.save(speech_encoder(seed), folder / FILES["hubert"])
    onnx.save(landmarks203(), folder / FILES["landmark203"])
    onnx.save(face_detector(), folder / FILES["insightface_det"])
    onnx.save(landmarks106(), folder / FILES["landmark106"])
    shutil.copyfile(MODEL_PATH, folder / FILES["face_landmarker"])
    (folder / FILES["cfg"]).write_bytes(pickle.dumps(configuration(defaults or {})))
    return folder


def write_onnx_checkpoints(
    folder: Path, sizes: Mapping[str, Mapping[str, Any]], seed: int = SEED, defaults: Mapping[str, Any] | None = None
) -> Path:
    """The same networks in the published ONNX layout, as this project exports them. Slow: each takes some seconds."""
    for path in ONNX_FILES.values():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    networks = {role: network_of(role, sizes.get(role, {}), seed) for role in NETWORKS}
    for role, network in networks.items():
        export_network(network, role, folder / ONNX_FILES[role], tuple(example_arguments(network).values()), optimize=False)
    onnx.save(speech_encoder(seed), folder / ONNX_FILES["hubert"])
    onnx.save(landmarks203(extra_outputs=False), folder / ONNX_FILES["landmark203"])
    onnx.save(face_detector(), folder / ONNX_FILES["insightface_det"])
    onnx.save(landmarks106(), folder / ONNX_FILES["landmark106"])
    shutil.copyfile(MODEL_PATH, folder / ONNX_FILES["face_landmarker"])
    for role in ("cfg", "cfg_online"):
        (folder / ONNX_FILES[role]).write_bytes(pickle.dumps(configuration(defaults or {})))
    return folder


def checkpoints(folder: Path, files: Mapping[str, str] = FILES) -> dict[str, Path]:
    """Paths by role."""
    return {role: folder / path for role, path in files.items()}


def write_network(role: str, path: Path, size: Mapping[str, Any], seed: int) -> None:
    """In the container that the published file of this network has."""
    packing = CONTAINERS[NETWORKS[role]]
    weights = {packing.prefix + key: value for key, value in weights_of(role, size, seed).items()}
    torch.save({packing.section: weights} if packing.section else weights, path)


def weights_of(role: str, size: Mapping[str, Any], seed: int) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in NETWORKS[role](**size).state_dict().items()}
    return {key: torch.from_numpy(value) for key, value in fill_state_dict(shapes, seed, role).items()}


def network_of(role: str, size: Mapping[str, Any], seed: int) -> torch.nn.Module:
    network = NETWORKS[role](**size)
    network.load_state_dict(weights_of(role, size, seed))
    return network.eval().requires_grad_(False)


def configuration(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a configuration file, as the published ones are built."""

    def part(role: str) -> dict[str, Any]:
        return {"model_path": FILES[role].removeprefix(ROOT), "device": "cuda", "force_ori_type": not FILES[role].endswith(".pth")}

    roles = ("insightface_det", "landmark106", "landmark203", "hubert", *(role for role in NETWORKS if role != "lmdm"))
    base: dict[str, Any] = {f"{role}_cfg": part(role) for role in roles}
    base["landmark478_cfg"] = {"task_path": FILES["face_landmarker"].removeprefix(ROOT), "device": "cuda", "force_ori_type": True}
    motion = {
        "model_path": FILES["lmdm"].removeprefix(ROOT), "device": "cuda", "motion_feat_dim": 265, "audio_feat_dim": 1103, "seq_frames": 80,
        "use_emo": True, "use_sc": True, "use_eye_open": True, "use_eye_ball": True, "w2f_type": "hubert",
    }  # fmt: skip
    return {"base_cfg": base, "audio2motion_cfg": motion, "default_kwargs": dict(defaults)}


# ---- stand-ins


def graph(nodes: list[Any], values: Mapping[str, Array], given: tuple[str, list[Any]], results: Mapping[str, list[Any]]) -> onnx.ModelProto:
    name, shape = given
    content = helper.make_graph(
        nodes,
        "stand_in",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, dims) for result, dims in results.items()],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items()],
    )
    return helper.make_model(content, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def speech_encoder(seed: int) -> onnx.ModelProto:
    """20 rows for 6480 samples, each from its own 400 samples, as HuBERT's rows lie."""
    values = {
        "kernel": synthetic_input("stand_in_kernel", (8, 1, 400), seed, -1, 1),
        "spread": synthetic_input("stand_in_spread", (8, 1024), seed, -1, 1),
        "channel": np.array([1], np.int64),
        "batch": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "channel"], ["wave"]),
        helper.make_node("Conv", ["wave", "kernel"], ["heard"], strides=[320]),
        helper.make_node("Transpose", ["heard"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["rows", "spread"], ["wide"]),
        helper.make_node("Tanh", ["wide"], ["bounded"]),
        helper.make_node("Squeeze", ["bounded", "batch"], ["encoding_out"]),
    ]
    return graph(nodes, values, ("input_values", [1, "samples"]), {"encoding_out": ["rows", 1024]})


def constant(image: str, shape: list[int], results: Mapping[str, Array]) -> onnx.ModelProto:
    """Says the same of every picture. The picture counts with a factor of nothing, so that the input is one."""
    axes = {"none": np.array(0, np.float32)}
    nodes = [helper.make_node("ReduceMean", [image], ["mean"], keepdims=0), helper.make_node("Mul", ["mean", "none"], ["nothing"])]
    for name in results:
        nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
    values = {**axes, **{f"{name}_value": value for name, value in results.items()}}
    return graph(nodes, values, (image, list(shape)), {name: list(value.shape) for name, value in results.items()})


def landmarks203(extra_outputs: bool = True) -> onnx.ModelProto:
    """Where the 203 points lie in a crop that was made around them: two thirds of its size, a tenth below its middle. Two outputs more, as
    LivePortrait's own file has, and the ONNX set's has not."""
    points = face_outline(203, 0.5, 0.6, 0.28, 1 / 3)
    for first, x in ((0, 0.39), (24, 0.61)):
        points[first : first + 24 : 6] = [(x - 0.05, 0.45), (x, 0.435), (x + 0.05, 0.45), (x, 0.465)]
    points[48], points[66] = (0.42, 0.72), (0.58, 0.72)
    flat = points.reshape(1, 406)
    others = {"more": np.zeros((1, 214), np.float32), "most": np.zeros((1, 262), np.float32)}
    return constant("input", [1, 3, 224, 224], {**(others if extra_outputs else {}), "landmarks": flat})


FACE_BOX = (178.0, 66.0, 273.0, 180.0)
"""Of assets/portrait.png, in its 512 pixels: what the stand-in of the face detector finds in every picture."""


def face_detector() -> onnx.ModelProto:
    """SCRFD's nine outputs, with one face in them."""
    results: dict[str, Array] = {}
    for kind, width in (("scores", 1), ("boxes", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            results[f"{kind}{stride}"] = np.zeros((2 * (512 // stride) ** 2, width), np.float32)
    row, column = 3, 7
    anchor = 2 * (row * 16 + column)
    x, y = column * 32, row * 32
    x0, y0, x1, y1 = FACE_BOX
    results["scores32"][anchor] = 0.9
    results["boxes32"][anchor] = np.array([x - x0, y - y0, x1 - x, y1 - y]) / 32
    return constant("image", [1, 3, 512, 512], results)


def landmarks106() -> onnx.ModelProto:
    """106 points around the middle of a crop of one and a half faces."""
    points = face_outline(106, 0.0, 0.0, 0.5, 0.62)
    for eye, x in (((33, 35, 40, 39), -0.2), ((87, 89, 94, 93), 0.2)):
        points[list(eye)] = [(x - 0.08, -0.2), (x, -0.17), (x, -0.23), (x + 0.08, -0.2)]
    points[52], points[61] = (-0.15, 0.3), (0.15, 0.3)
    return constant("data", [1, 3, 192, 192], {"fc1": points.reshape(1, 212)})


def face_outline(n: int, x: float, y: float, half_width: float, half_height: float) -> Array:
    angle = np.arange(n) * (2 * np.pi / n)
    return np.stack([x + half_width * np.sin(angle), y - half_height * np.cos(angle)], axis=1).astype(np.float32)
