"""Names and finds engine files: an engine is for one graph, one kind of GPU, one driver and one version of TensorRT."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch

from core.errors import EngineUnavailable
from core.models.onnx_files import SIGNATURES, digest
from core.models.trt.roles import PRECISION

SUPPORTED = (10, 11)
"""Major versions of TensorRT whose Python interface is used."""
RECIPE = 1
"""Counts changes of how graphs are rewritten and built: engines of another recipe are not taken."""
PATTERN = "*_trt[0-9]*_*.engine"
"""Matches the names of all engines made here, and of no published one."""
DRIVER = Path("/proc/driver/nvidia/version")


def load_tensorrt() -> ModuleType:
    """The module `tensorrt`. Constructs nothing: without a GPU that may end the process. Raises EngineUnavailable."""
    try:
        import tensorrt
    except ImportError as error:
        hint = "Install it on the GPU machine: pip install -r requirements-tensorrt.txt"
        raise EngineUnavailable(f"TensorRT is not installed ({error}).", hint) from error
    module: ModuleType = tensorrt
    if version(module)[0] not in SUPPORTED:
        wanted = " or ".join(map(str, SUPPORTED))
        raise EngineUnavailable(f"TensorRT {tensorrt.__version__} is installed; {wanted} is needed.", "See requirements-tensorrt.txt.")
    return module


def version(trt: ModuleType) -> tuple[int, int]:
    major, minor = str(trt.__version__).split(".")[:2]
    return int(major), int(minor)


@dataclass(frozen=True)
class Machine:
    """What an engine is built for, as words."""

    gpu: str
    driver: str
    tensorrt: str

    @property
    def label(self) -> str:
        """The same as part of a file's name."""
        gpu, driver, trt = (re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") for text in (self.gpu, self.driver, self.tensorrt))
        return f"{gpu}_{driver}_trt{trt}"


def machine_of(device: torch.device, trt: ModuleType) -> Machine:
    return Machine(torch.cuda.get_device_name(device), driver_version(), str(trt.__version__))


def driver_version() -> str:
    """Of NVIDIA's driver, such as "595.58.03"; "unknown" where nothing tells."""
    try:
        found = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", DRIVER.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found.group()
    except OSError:
        pass  # not Linux, or a container that hides it
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],  # noqa: S607 - wherever the driver put it
            capture_output=True, text=True, timeout=20, check=True,
        ).stdout.split()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        answer = []
    return answer[0] if answer else "unknown"


def engine_name(role: str, onnx: Path, machine: Machine) -> str:
    """The file name of the engine of one graph on one machine."""
    stem = SIGNATURES[role].files[0].removesuffix(".onnx")
    key = hashlib.sha256(f"{RECIPE} {PRECISION[role]} {digest(onnx)}".encode()).hexdigest()[:12]
    return f"{stem}_{PRECISION[role]}_{machine.label}_{key}.engine"


def folders_of(onnx: Path) -> list[Path]:
    """Where engines of an ONNX file are looked for: beside it, and in the folders beside its own."""
    folder = onnx.resolve().parent
    try:
        beside = sorted(path for path in folder.parent.iterdir() if path.is_dir() and path != folder)
    except OSError:
        beside = []
    return [folder, *beside]


def any_engines(onnx: Path) -> bool:
    """Whether engines made here lie where they are looked for; of this machine or of another."""
    return any(next(folder.glob(PATTERN), None) is not None for folder in folders_of(onnx))


def find_engine(role: str, onnx: Path, machine: Machine) -> Path | None:
    name = engine_name(role, onnx, machine)
    return next((folder / name for folder in folders_of(onnx) if (folder / name).is_file()), None)
