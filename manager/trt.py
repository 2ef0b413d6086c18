"""Checks whether the published TensorRT engines can run here, without loading CUDA or TensorRT."""

from __future__ import annotations

import subprocess
from importlib import metadata

NEEDED_CAPABILITY = (8, 0)
"""Ampere: the engines were built for it and what came after."""
NEEDED_TENSORRT = "8.6"
"""Engines run under the version that built them only."""
TENSORRT_PACKAGES = ("tensorrt", "tensorrt-bindings", "tensorrt-cu11", "tensorrt-cu12", "tensorrt-cu13")


def gpu_capabilities() -> list[tuple[int, int]]:
    """Compute capability of every NVIDIA GPU here; empty without driver or GPU."""
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"],  # noqa: S607 - wherever the driver put it
            capture_output=True, text=True, timeout=20, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in answer.split():
        major, dot, minor = line.partition(".")
        if dot and major.isdecimal() and minor.isdecimal():
            found.append((int(major), int(minor)))
    return found


def tensorrt_version() -> str | None:
    """Version of the installed TensorRT package; None without one."""
    for package in TENSORRT_PACKAGES:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None


def obstacle() -> str | None:
    """Why the engines cannot run here, in plain words; None where they can."""
    capabilities = gpu_capabilities()
    if not capabilities:
        return "no NVIDIA GPU was found"
    if max(capabilities) < NEEDED_CAPABILITY:
        major, minor = max(capabilities)
        return f"the GPU is older than Ampere (compute capability {major}.{minor}, 8.0 is needed)"
    version = tensorrt_version()
    if version is None:
        return f"TensorRT {NEEDED_TENSORRT} is not installed"
    if version.split(".")[:2] != NEEDED_TENSORRT.split("."):
        return f"TensorRT {version} is installed, the engines run under {NEEDED_TENSORRT} only"
    return None
