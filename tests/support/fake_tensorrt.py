"""A stand-in for the module `tensorrt`, versions 10 and 11, with the part of its Python interface that engines are built and run by.

Engines hold their graph, which ONNX Runtime computes on execution; tensors are read and written at the addresses that are given. What
TensorRT refuses is refused: GridSample of volumes (always by 10; by 11 if told so), graphs that are not strongly typed in version 10,
engines of another version, shapes outside the profile, execution before a profile is set.
"""

from __future__ import annotations

import ctypes
import enum
import json
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime

MAGIC = b"fake engine "


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.ready = True


class IProgressMonitor:
    def __init__(self) -> None:
        self.ready = True


class TensorIOMode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(enum.Enum):
    FLOAT = np.dtype(np.float32)
    HALF = np.dtype(np.float16)
    INT64 = np.dtype(np.int64)


class NetworkFlags10(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class NetworkFlags11(enum.IntEnum):
    PREFER_JIT_PYTHON_PLUGINS = 2


def dimensions(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim)


class Input:
    def __init__(self, value: onnx.ValueInfoProto) -> None:
        self.name, self.shape = value.name, dimensions(value)


class Network:
    def __init__(self, flags: int) -> None:
        self.flags, self.model = flags, onnx.ModelProto()

    @property
    def _inputs(self) -> list[onnx.ValueInfoProto]:
        weights = {weight.name for weight in self.model.graph.initializer}
        return [value for value in self.model.graph.input if value.name not in weights]

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> Input:
        return Input(self._inputs[index])


class ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text


class Parser:
    volumes = False
    network: Network

    def __init__(self, network: Network, logger: ILogger) -> None:
        self.network, self._errors = network, list[ParserError]()
        assert logger.ready

    def parse(self, model: bytes) -> bool:
        self.network.model = read = onnx.load_model_from_string(model)
        ranks = {value.name: len(dimensions(value)) for value in onnx.shape_inference.infer_shapes(read).graph.value_info}
        ranks |= {value.name: len(dimensions(value)) for value in read.graph.input}
        for node in read.graph.node:
            if node.op_type == "GridSample" and ranks.get(node.input[0]) == 5 and not self.volumes:
                self._errors.append(ParserError(f"{node.name}: GridSample takes four dimensions"))
            if node.domain not in ("", "ai.onnx"):
                self._errors.append(ParserError(f"no importer is registered for {node.op_type}"))
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        self.shapes[input] = [tuple(min), tuple(opt), tuple(max)]


class TimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytearray:
        return bytearray(self.content)


class Config:
    progress_monitor: Any = None
    builder_optimization_level = 3

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self._cache = TimingCache(b"")

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache:
        return TimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        self._cache = cache
        return True

    def get_timing_cache(self) -> TimingCache:
        return self._cache


class Builder:
    """version, flags: of the module that it belongs to; builds: how many have begun; failure: what the next build says it fails of."""

    version = ""
    strong = True
    builds = 0
    failure = ""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> Network:
        return Network(flags)

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytearray | None:
        type(self).builds += 1
        if not self.strong:
            assert network.flags & 1 << NetworkFlags10.STRONGLY_TYPED, "half precision of the graph would be taken for a hint"
        if self.failure:
            self._logger.log(Severity.ERROR, self.failure)
            return None
        dynamic = any(-1 in network.get_input(i).shape for i in range(network.num_inputs))
        assert bool(config.profiles) == dynamic
        if config.progress_monitor is not None:
            worker = threading.Thread(target=self._progress, args=(config.progress_monitor,))
            worker.start()
            worker.join()
        config._cache = TimingCache(config._cache.content + b".")
        head = json.dumps({"version": self.version, "profiles": [profile.shapes for profile in config.profiles]}).encode()
        return bytearray(MAGIC + len(head).to_bytes(4, "big") + head + network.model.SerializeToString())

    def _progress(self, monitor: Any) -> None:
        monitor.phase_start("Building engine", None, 4)
        monitor.phase_start("Tactics", "Building engine", 2)
        for step in range(4):
            assert monitor.step_complete("Building engine", step) is True
        monitor.phase_finish("Tactics")
        monitor.phase_finish("Building engine")


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine, self._profile = engine, -1
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile = profile_index
        return profile_index < self._engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.get_tensor_profile_shape(name, self._profile)
        self._shapes[name] = shape
        return all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch = next(iter(self._shapes.values()))[0]
        return tuple(batch if size == -1 else size for size in self._engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        given = {name: self._at(name, shape).copy() for name, shape in self._shapes.items()}
        names = self._engine.results
        for name, value in zip(names, self._engine.session.run(names, given), strict=True):
            self._at(name, self.get_tensor_shape(name))[...] = value
        return True

    def _at(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        dtype = self._engine.get_tensor_dtype(name).value
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(self._addresses[name]), dtype).reshape(shape)


class Engine:
    def __init__(self, model: bytes, profiles: list[dict[str, Any]]) -> None:
        network = Network(0)
        network.model = onnx.load_model_from_string(model)
        self._inputs = {value.name: value for value in network._inputs}
        self._values = {**self._inputs, **{value.name: value for value in network.model.graph.output}}
        self.results = [name for name in self._values if name not in self._inputs]
        self.operations = {node.op_type for node in network.model.graph.node}
        self._profiles = profiles or [{name: [dimensions(value)] * 3 for name, value in self._inputs.items()}]
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    @property
    def num_io_tensors(self) -> int:
        return len(self._values)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    def get_tensor_name(self, index: int) -> str:
        return list(self._values)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return dimensions(self._values[name])

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self._values[name].type.tensor_type.elem_type)))

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self._profiles[profile_index][name]]

    def create_execution_context(self) -> Context:
        return Context(self)


class Runtime:
    version = ""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        start = len(MAGIC) + 4
        if not serialized_engine.startswith(MAGIC):
            self._logger.log(Severity.ERROR, "the magic tag does not match")
            return None
        end = start + int.from_bytes(serialized_engine[len(MAGIC) : start], "big")
        head = json.loads(serialized_engine[start:end])
        if head["version"] != self.version:
            self._logger.log(Severity.ERROR, f"the engine is of TensorRT {head['version']}")
            return None
        return Engine(serialized_engine[end:], head["profiles"])


def fake_tensorrt(version: str, *, parses_volumes: bool = True) -> ModuleType:
    """The module in that version, such as "10.16.0" or "11.4.0". parses_volumes: whether the parser of 11 takes GridSample of volumes."""
    module: Any = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    module.__version__ = version
    strong = int(version.split(".")[0]) >= 11
    module.NetworkDefinitionCreationFlag = NetworkFlags11 if strong else NetworkFlags10
    module.Builder = type("Builder", (Builder,), {"version": version, "strong": strong})
    module.Runtime = type("Runtime", (Runtime,), {"version": version})
    module.OnnxParser = type("OnnxParser", (Parser,), {"volumes": strong and parses_volumes})
    module.ILogger, module.IProgressMonitor, module.TensorIOMode, module.DataType = ILogger, IProgressMonitor, TensorIOMode, DataType
    return module  # type: ignore[no-any-return]
