"""Builds TensorRT engines from ONNX files, and compares each with ONNX Runtime before it is kept."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from core.errors import DiskFull, EngineUnavailable, OptionError, TalkingHeadError, disk_error
from core.models.checkpoint import CheckpointError
from core.models.onnx_files import SIGNATURES, OnnxNetwork
from core.models.trt.files import Machine, engine_name, load_tensorrt, machine_of, version
from core.models.trt.graph import engine_graph
from core.models.trt.network import EngineNetwork, logger_of, on
from core.models.trt.roles import PRECISION

log = logging.getLogger(__name__)

Tell = Callable[[str], object]
OPTIMIZATION_LEVEL = 5
"""The highest, as published: building takes minutes, once."""
FIRST_WITH_VOLUMES = (11, 2)
"""The first TensorRT with a grid sample layer in five dimensions. Whether its ONNX parser takes one is found out by trying."""
PROFILES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "appearance_extractor": ((1, 1, 10),),
    "motion_extractor": ((1, 1, 10),),
    "warp_network": ((1, 1, 2), (3, 10, 10), (11, 20, 20)),
    "decoder": ((1, 1, 2), (3, 10, 10), (11, 20, 20)),
    "lmdm": ((1, 1, 8),),
}
"""Batches from, best for and up to, of graphs that take any: what sessions draw at once, and single frames."""
LARGEST_ERROR = {"fp32": 0.01, "fp16": 0.05}
"""Of the results against ONNX Runtime in float32, root of the mean squares, as a part of the results' own. NaN is above it."""
ROOM = 3.0
"""Bytes of disk wanted for each byte of a graph: the engine has several kernels' forms of some weights."""


class BuildError(TalkingHeadError):
    """TensorRT does not build an engine from a graph, or builds one whose results are wrong."""


def build_engines(onnx_dir: Path, trt_dir: Path, device: torch.device, tell: Tell) -> list[Path]:
    """Engines of the five networks that get one, in `trt_dir`; those that are there already stay. tell: hears a line before each step.

    A file is put in place when it is whole and was compared. Raises EngineUnavailable, OptionError (no graphs), CheckpointError (damaged
    ones), BuildError, OutputError and DiskFull.
    """
    graphs = {role: _graph_file(role, onnx_dir) for role in PRECISION}
    trt = load_tensorrt()
    machine = machine_of(device, trt)
    tell(f"{machine.gpu}, driver {machine.driver}, TensorRT {machine.tensorrt}")
    made = []
    try:
        trt_dir.mkdir(parents=True, exist_ok=True)
        for number, (role, graph) in enumerate(graphs.items(), 1):
            path = trt_dir / engine_name(role, graph, machine)
            step = f"[{number}/{len(graphs)}] {role}, {PRECISION[role]}"
            if path.is_file():
                tell(f"{step}: {path} is there")
            else:
                _room(trt_dir, graph)
                _build_engine(role, graph, path, machine, device, trt, _prefixed(tell, step))
            made.append(path)
    except OSError as error:
        raise disk_error(error, f"The engines cannot be written to {trt_dir}", "Choose another --trt_dir.") from error
    return made


def _prefixed(tell: Tell, step: str) -> Tell:
    return lambda line: tell(f"{step}: {line}")


def _graph_file(role: str, onnx_dir: Path) -> Path:
    names = SIGNATURES[role].files
    for name in names:
        if (onnx_dir / name).is_file():
            return onnx_dir / name
    raise OptionError(
        f"There is no {names[0]} in {onnx_dir}.",
        "Fetch the published ones (model_manager.py download --format onnx) or export your own (model_manager.py export --onnx_dir …).",
    )


def _room(folder: Path, graph: Path) -> None:
    wanted, free = int(ROOM * graph.stat().st_size), shutil.disk_usage(folder).free
    if free < wanted:
        raise DiskFull(f"{folder} has {free / 1e9:.1f} GB free; the engine of {graph.name} may need {wanted / 1e9:.1f} GB.")


def _build_engine(role: str, graph: Path, path: Path, machine: Machine, device: torch.device, trt: ModuleType, tell: Tell) -> None:
    cache = path.parent / f"timing_{machine.label}.cache"
    engine = _built(role, graph, cache, device, trt, tell)
    tell("comparing with ONNX Runtime")
    error, bound = compared(role, graph, engine, device, trt), LARGEST_ERROR[PRECISION[role]]
    if not error <= bound:
        raise BuildError(
            f"The engine of {graph} differs from ONNX Runtime by {error:.2g} of its results; the bound is {bound:g}.",
            "Use ONNX Runtime or PyTorch (--backend), and please report it.",
        )
    write_whole(path, engine)
    tell(f"{path}, {len(engine) / 1e6:.0f} MB, relative error {error:.1e}")


def _built(role: str, graph: Path, cache: Path, device: torch.device, trt: ModuleType, tell: Tell) -> bytes:
    """The engine: with volumes sampled by TensorRT's own layer where it can, else by gathers."""
    if role == "warp_network" and version(trt) >= FIRST_WITH_VOLUMES:
        try:
            return _serialised(role, engine_graph(role, graph, cache.parent, volumes=True), cache, device, trt, tell)
        except BuildError as error:
            tell(f"volumes are sampled by gathers ({error.message})")
    return _serialised(role, engine_graph(role, graph, cache.parent, volumes=False), cache, device, trt, tell)


def _serialised(role: str, graph: bytes, cache: Path, device: torch.device, trt: ModuleType, tell: Tell) -> bytes:
    logger = logger_of(trt)
    with on(device):
        builder = trt.Builder(logger)
        flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # TensorRT 11 has no other kind
        network = builder.create_network(0 if flag is None else 1 << int(flag))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(graph):
            said = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
            raise BuildError(f"TensorRT {trt.__version__} does not read the graph of {role}: {said or 'it says nothing'}.", OTHER_VERSION)
        config = builder.create_builder_config()
        config.builder_optimization_level = OPTIMIZATION_LEVEL
        _add_profiles(role, builder, config, network)
        config.progress_monitor = monitor = _monitor(trt, tell)
        timings = config.create_timing_cache(_content(cache))
        config.set_timing_cache(timings, ignore_mismatch=False)
        tell("building")
        built = builder.build_serialized_network(network, config)
    del monitor  # it must live as long as the build
    if built is None:
        said = (logger.errors or ["it says nothing"])[-1]
        raise BuildError(f"TensorRT {trt.__version__} builds no engine of {role}: {said}", OTHER_VERSION)
    write_whole(cache, bytes(config.get_timing_cache().serialize()))
    return bytes(built)


OTHER_VERSION = "Another version of TensorRT may; without an engine ONNX Runtime and PyTorch use the GPU too."


def _add_profiles(role: str, builder: Any, config: Any, network: Any) -> None:
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    moving = [tuple(each.shape)[0] == -1 for each in inputs]
    if any(-1 in tuple(each.shape)[1:] for each in inputs) or any(moving) != all(moving):
        raise CheckpointError(f"The graph of {role} has other sizes than its batch that are not fixed.", "Export it again.")
    if not any(moving):
        return
    for sizes in PROFILES[role]:
        profile = builder.create_optimization_profile()
        for each in inputs:
            profile.set_shape(each.name, *((size, *tuple(each.shape)[1:]) for size in sizes))
        config.add_optimization_profile(profile)


def _monitor(trt: ModuleType, tell: Tell) -> Any:
    """Tells how far TensorRT is in the phases that are not part of another."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]  # a class of the module, loaded only where there is a GPU
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.told: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if steps := self.steps.get(phase_name):
                tenth = 10 * (step + 1) // steps
                if tenth > self.told.get(phase_name, 0):
                    self.told[phase_name] = tenth
                    tell(f"{phase_name} {10 * tenth} %")
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def compared(role: str, graph: Path, engine: bytes, device: torch.device, trt: ModuleType) -> float:
    """How far the engine's results are from those of ONNX Runtime in float32: root of the mean squares, relative, the worst result's."""
    network = EngineNetwork(role, engine, device, trt)
    arguments = network.example(min(2, network.largest_batch))
    found = network(*arguments)
    expected = OnnxNetwork(role, graph)(*(argument.cpu().numpy() for argument in arguments))
    errors = []
    for got, wanted in zip(found, expected, strict=True):
        scale = max(float(np.sqrt(np.square(wanted).mean())), float(np.finfo(np.float32).tiny))
        errors.append(float(np.sqrt(np.square(got.float().cpu().numpy() - wanted).mean())) / scale)
    return float(np.max(errors))


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that appears under its name when it is whole. Raises OSError."""
    with _part_of(path) as part:
        part.write_bytes(content)
        os.replace(part, path)


@contextlib.contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def device_for_building() -> torch.device:
    """The first GPU. Raises EngineUnavailable without one; asked before anything of TensorRT is constructed."""
    from core.optimization.gpu_optimization import gpu_obstacle

    obstacle = gpu_obstacle()
    if obstacle is not None:
        raise EngineUnavailable(f"Engines are built on the GPU that runs them: {obstacle}.", "Run this on the machine with the GPU.")
    return torch.device("cuda", torch.cuda.current_device())
