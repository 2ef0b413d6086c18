"""Chooses the device and precision that Ditto runs with, once, and logs the reason.

`gpu_obstacle` answers without importing torch where there is no GPU, so that the lite path stays quick.
"""

from __future__ import annotations

import ctypes
import dataclasses
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import EngineUnavailable, OptionError
from core.zero_gpu import on_zero_gpu

if TYPE_CHECKING:
    import onnxruntime
    import torch

log = logging.getLogger(__name__)

HALF_FROM = (7, 0)
"""Compute capability from which half precision is faster than single (tensor cores)."""
GPU_BATCH = 10
"""Frames that a session asks for at once on a GPU. It divides the new frames of the usual windows (70 of a file, 10 of a stream)."""
GPU_BATCHES_AT_ONCE = 2
"""While one batch is drawn, motion is made for the next; on a CPU both would only share its cores."""
ONNX_FRAMES_AT_ONCE = 5
NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE: a driver without a GPU."""


@dataclass(frozen=True)
class Placement:
    """The device and precision that the networks run with.

    dtype: of warp and decoder, which take nearly all of the time; the others stay in float32, where small differences add up along the
    motion. batch: frames that a session draws at once; on a CPU always exactly so many, because a network may round differently at another
    batch size. batches_at_once: under way together when frames are asked for. providers: of ONNX Runtime, in order. reason: why this
    device and precision.
    """

    device: torch.device
    dtype: torch.dtype
    batch: int
    batches_at_once: int
    providers: tuple[str, ...]
    reason: str


def cuda_devices() -> int:
    """GPUs that NVIDIA's driver offers this process, 0 without a driver. Imports nothing and allocates nothing on the GPU."""
    return _driver_answer()[0]


def _driver_answer() -> tuple[int, int]:
    """GPUs, and the driver's error number (0: none, or no driver is installed)."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        error = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0, 0
    return (0, error) if error else (count.value, 0)


def gpu_obstacle(device: str | None = None) -> str | None:
    """Why Ditto has no GPU here, in a few words; None where it has one. device: the one it was told to run on, if it was."""
    if device is not None and device.startswith("mps"):
        return mps_obstacle()
    if device is not None and not device.startswith("cuda"):
        return f"ditto was told to run on {device}"
    if on_zero_gpu():
        return None  # nothing here may ask the driver: the processes of the calls would inherit that
    if cuda_devices() == 0:
        error = _driver_answer()[1]
        return f"NVIDIA's driver does not work (CUDA error {error})" if error not in (0, NO_DEVICE) else "no GPU was found"
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    return None if torch.cuda.is_available() else f"the installed PyTorch cannot use the GPU{_cuda_complaint()}"


def mps_obstacle() -> str | None:
    """Why PyTorch has no Apple GPU here, in a few words; None where it has one."""
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    if torch.backends.mps.is_available():
        return None
    return "this machine has no Apple GPU with Metal" if torch.backends.mps.is_built() else "the installed PyTorch was built without MPS"


def _cuda_complaint() -> str:
    """PyTorch's own message when CUDA cannot be used, in brackets: it names the version of a driver that is too old."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f" ({str(error).splitlines()[0].rstrip('.')})" if str(error) else ""
    return ""


def leaves_gpu_unused(session: onnxruntime.InferenceSession, providers: Sequence[str]) -> bool:
    """Whether a session of ONNX Runtime that was to run on a GPU does not: it falls back to the CPU without an error."""
    return "CUDAExecutionProvider" in providers and "CUDAExecutionProvider" not in session.get_providers()


def place(device: str | None = None) -> Placement:
    """The placement on `device` ("cuda", "cuda:1", "mps", "cpu"; None: the first GPU of NVIDIA's, else the CPU).

    Raises EngineUnavailable without torch or without the GPU asked for, OptionError for anything that is not a device.
    """
    try:
        import torch
    except ImportError as error:
        raise EngineUnavailable(
            "The ditto engine needs PyTorch, which is not installed.",
            "Install it: pip install -r requirements.txt (on a GPU machine: requirements-gpu.txt).",
        ) from error
    if device is None:
        obstacle = gpu_obstacle()
        chosen, why = torch.device("cuda" if obstacle is None else "cpu"), obstacle or "a GPU was found"
    else:
        try:
            chosen, why = torch.device(device), "it was asked for"
        except RuntimeError:
            chosen = torch.device("meta")
        if chosen.type not in ("cuda", "mps", "cpu"):
            raise OptionError(f"{device!r} is not a device that the ditto engine runs on.", 'Use "cuda", "cuda:1", "mps" or "cpu".')
    if chosen.type == "cpu":
        placement = Placement(chosen, torch.float32, 1, 1, ("CPUExecutionProvider",), f"CPU, float32: {why}")
    elif chosen.type == "mps":
        if (obstacle := mps_obstacle()) is not None:
            raise EngineUnavailable(f"There is no GPU mps for the ditto engine: {obstacle}.", 'Use another device, or "cpu".')
        placement = Placement(chosen, torch.float32, 1, 1, ("CPUExecutionProvider",), f"Apple GPU (MPS, not tried out yet), float32: {why}")
    else:
        if not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count():
            raise EngineUnavailable(f"There is no GPU {chosen} for the ditto engine.", 'Use another device, or "cpu".')
        # Shapes are few and fixed, so trying all kernels once pays. Only the motion's networks are float32: at this precision their
        # products are off by a thousandth, far below what the eye sees, and take half as long.
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        half = torch.cuda.get_device_capability(chosen) >= HALF_FROM
        name = torch.cuda.get_device_name(chosen)
        placement = Placement(
            chosen, torch.float16 if half else torch.float32, GPU_BATCH, GPU_BATCHES_AT_ONCE,
            ("CUDAExecutionProvider", "CPUExecutionProvider"),
            f"{name}, {'float16 for warp and decoder' if half else 'float32, it has no tensor cores'}: {why}",
        )  # fmt: skip
    log.info("ditto runs on %s", placement.reason)
    return placement


def place_onnx(device: str | None = None, provider: str = "CUDAExecutionProvider") -> Placement:
    """The placement of networks in ONNX Runtime: it has the device, what goes from one to the next stays on the machine.

    provider: of ONNX Runtime, to be tried first on a GPU; OpenVINO's on a CPU.

    Raises as `place`, and EngineUnavailable for a GPU where the installed ONNX Runtime knows none.
    """
    import onnxruntime
    import torch

    placement = place(device)
    if provider == "OpenVINOExecutionProvider":
        return dataclasses.replace(placement, providers=(provider, "CPUExecutionProvider"), reason="OpenVINO on the CPU: it was asked for")
    if placement.device.type == "cpu":
        return placement
    if placement.device.type == "mps":
        raise EngineUnavailable("ONNX Runtime does not run on mps.", 'Use PyTorch checkpoints (--format pytorch), or the device "cpu".')
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        if device is None:
            return place("cpu")
        raise EngineUnavailable(
            "The installed ONNX Runtime cannot use the GPU.",
            'Install requirements-gpu.txt in a fresh environment, or use the device "cpu".',
        )
    reason = f"ONNX Runtime, {placement.reason}"
    # The published graphs take one frame at a time.
    return dataclasses.replace(
        placement, device=torch.device("cpu"), dtype=torch.float32, batch=1, batches_at_once=ONNX_FRAMES_AT_ONCE, reason=reason,
        providers=tuple(dict.fromkeys((provider, *placement.providers))),
    )  # fmt: skip


def place_tensorrt(device: str | None = None) -> Placement:
    """The placement of networks in TensorRT, all on one GPU. Raises as `place`, and EngineUnavailable without a GPU."""
    placement = place(device)
    if placement.device.type != "cuda":
        raise EngineUnavailable(f"TensorRT needs a GPU ({placement.reason}).", "Leave --backend out.")
    return placement


def describe(placement: Placement) -> Mapping[str, str]:
    """For a revision and for statistics: what of the placement changes frames."""
    dtype = str(placement.dtype).removeprefix("torch.")
    return {"device": placement.device.type, "providers": placement.providers[0], "dtype": dtype, "batch": str(placement.batch)}
