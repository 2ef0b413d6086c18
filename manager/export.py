"""The `export` command: makes the ONNX files of Ditto's networks from the PyTorch checkpoints."""

from __future__ import annotations

import importlib.util
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import EngineUnavailable, OptionError, disk_error
from manager.errors import DiskFullError, DownloadError
from manager.progress import human_bytes
from manager.store import SPARE_BYTES

PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
"""The packages that exporting and comparing need."""
GROWTH = 1.3
"""The form that runs fastest keeps some weights rearranged as well: the published set grows by 1.23."""


@dataclass(frozen=True)
class ExportedFile:
    """One file that was made. relative_error: the largest against torch, relative to the largest value of the network's results."""

    role: str
    path: Path
    size_bytes: int
    relative_error: float


def check_packages() -> None:
    """Raises EngineUnavailable where a package is missing; imports none of them."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise EngineUnavailable(
            f"Exporting needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            "Install requirements.txt, or requirements-gpu.txt where there is an NVIDIA GPU.",
        )


def checkpoints_in(folder: Path) -> dict[str, Path]:
    """The PyTorch files in a folder, by role: laid out as in the published repository, as `ditto_pytorch/`, or side by side.

    Files that are not there are left out. Raises OptionError where the folder is none.
    """
    from manager.published_folder import files_of  # brings torch

    if not folder.is_dir():
        raise OptionError(f"--checkpoint_dir is {str(folder)!r}, which is not a folder.", "Give the folder with the .pth files.")
    return files_of("pytorch", folder)


def export_checkpoints(paths: Mapping[str, Path], onnx_dir: Path, tell: Callable[[str], object]) -> list[ExportedFile]:
    """Makes the six files in `onnx_dir`, under their published names, one network in memory at a time.

    paths: of the PyTorch checkpoints, by role; others than the six networks do not matter. tell: hears a line before each step. A file is
    put in place when it is whole and was compared with torch; files of the same names are replaced.
    Raises EngineUnavailable (packages), DownloadError (checkpoints that are missing), CheckpointError (damaged ones, or a file that differs
    from torch), DiskFullError, OutputError.
    """
    check_packages()
    import torch

    from core.engines.ditto_networks import NETWORKS, SIZES
    from core.models.checkpoint import load_checkpoint
    from core.models.export import example_arguments, export_network
    from core.models.inference import prepare_for_inference
    from core.models.onnx_files import SIGNATURES

    if missing := [role for role in NETWORKS if role not in paths]:
        raise DownloadError(
            f"There is no PyTorch checkpoint of: {', '.join(missing)}.", "Fetch them: python model_manager.py download --format pytorch"
        )
    made: list[ExportedFile] = []
    try:
        onnx_dir.mkdir(parents=True, exist_ok=True)
        _check_room(onnx_dir, math.ceil(GROWTH * sum(paths[role].stat().st_size for role in NETWORKS)))
        for number, role in enumerate(NETWORKS, 1):
            step = f"[{number}/{len(NETWORKS)}] {role}"
            tell(f"{step}: loading {paths[role]}")
            with torch.device("meta"):
                network = NETWORKS[role](**SIZES.get(role, {}))
            network = load_checkpoint(network, paths[role])
            example = tuple(example_arguments(network).values())
            path = onnx_dir / SIGNATURES[role].files[0]
            tell(f"{step}: writing and checking {path}")
            prepared = prepare_for_inference(network)  # type: ignore[call-overload]  # of any of the six
            error = export_network(prepared, role, path, example)
            made.append(ExportedFile(role, path, path.stat().st_size, error))
    except OSError as error:
        raise disk_error(error, f"The ONNX files cannot be written to {onnx_dir}", "Choose another --onnx_dir.") from error
    return made


def _check_room(folder: Path, needed_bytes: int) -> None:
    needed_bytes += SPARE_BYTES
    if (free := shutil.disk_usage(folder).free) < needed_bytes:
        raise DiskFullError(
            f"{folder} has {human_bytes(free)} free, the ONNX files need {human_bytes(needed_bytes)}.",
            "Free some, or choose an --onnx_dir on another disk.",
        )
