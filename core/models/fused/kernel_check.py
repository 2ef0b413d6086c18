"""Checks on the GPU at hand that the Triton kernels compute what PyTorch computes, before they are used."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from core.models.fused import passes

SEED = 0
TOLERANCE = 2e-2
"""Of values near 1 in half precision, which are rounded once by the kernels and after every operation by PyTorch."""


def enable_kernels(device: torch.device) -> str | None:
    """Lets `core.models.fused.passes` use the kernels on `device` if they give there what PyTorch gives; else says why not, in a few words.

    device: an NVIDIA GPU. Compiling the kernels for this takes some seconds, once per machine.
    """
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    device = torch.empty(0, device=device).device  # with its number
    if device in passes.enabled_devices:
        return None
    try:
        from core.models.fused import kernels

        obstacle = difference(kernels, device, torch.float16)
    except Exception as error:  # no compiler, an unknown GPU, a version of Triton that reads them otherwise: whatever it is, PyTorch runs
        return f"Triton's kernels cannot run here ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    if obstacle is None:
        passes.enabled_devices.add(device)
    return obstacle


def difference(kernels: Any, device: torch.device, dtype: torch.dtype) -> str | None:
    """The first pass of which the kernels give something else than PyTorch, in a few words; None where all agree."""
    for name, run in examples(device, dtype):
        with torch.inference_mode():
            with passes.using(None):
                wanted = run()
            with passes.using(kernels):
                found = run()
        for a, b in zip(as_tuple(wanted), as_tuple(found), strict=True):
            if a.shape != b.shape or not torch.allclose(a.float(), b.float(), rtol=TOLERANCE, atol=TOLERANCE):
                return f"the kernel of {name} gives other numbers than PyTorch"
    return None


def examples(device: torch.device, dtype: torch.dtype) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every pass at a small size in each of its variants: its name and a call."""
    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int, kind: torch.dtype = dtype, gain: float = 1.0) -> Tensor:
        return (gain * torch.randn(shape, generator=generator)).to(device, kind)

    source, driving = (normal(2, 5, 3, kind=torch.float32, gain=0.3) for _ in range(2))
    volume, parts, mask_bias = normal(2, 4, 6, 8, 4), normal(2, 4, 6, 8, 64), normal(6)
    yield "motion_stack", lambda: passes.motion_stack(volume, source, driving, 32)
    yield "flow_sample", lambda: passes.flow_sample(parts, mask_bias, 7, source, driving, volume)
    x, bias = normal(2, 3, 4, 6, 20), normal(20)
    skip = normal(2, 3, 8, 12, 3)
    yield "activate", lambda: passes.activate(x, bias, 0.01)
    yield "activate, shuffled", lambda: passes.activate(x, bias[:5], 0.01, shuffle=True, skip=skip)
    yield "activate, pooled", lambda: passes.activate(x, bias, 0.0, pool=True)
    for times, groups in ((1, 3), (2, 3), (4, 2)):
        values = min(times, 3)
        distinct = normal(2, 4, 6, values * values * groups * 5)
        yield f"spread, {times}", functools.partial(passes.spread, distinct, bias[: 5 * groups], groups, times)
    # Far from zero, where sums of squares would lose what matters, and so many pixels that they are summed up in parts.
    terms = [normal(2, 64, 64, 12) for _ in range(3)]
    yield "added, one", lambda: passes.added(terms[0] + 3)
    yield "added, two", lambda: passes.added(*terms[:2])
    yield "added, three", lambda: passes.added(*terms, bias=bias[:12], slope=0.2, stats=False)
    small, stats = normal(2, 8, 8, 12), torch.stack([normal(2, 12, kind=torch.float32), normal(2, 12, kind=torch.float32).abs()], dim=1)
    wide, narrow, wide_bias = normal(2, 16, 16, 24), normal(2, 8, 8, 12), normal(24)
    yield "modulate, with offset", lambda: passes.modulate(small, stats, wide, wide_bias, up=2, slope=0.2)
    yield "modulate", lambda: passes.modulate(small, stats, narrow, wide_bias[:12])


def as_tuple(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)
