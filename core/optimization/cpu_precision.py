"""Chooses between float32 and bfloat16 for networks on a CPU, by the processor and a measurement."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Without one of these bfloat16 is computed by conversion, many times slower."""
WORTH = 1.25
"""bfloat16 has to be so many times as fast: a measurement that wavers must not change frames."""
CPU_INFO = Path("/proc/cpuinfo")


def processor_flags() -> frozenset[str]:
    """What this processor says it can do, as Linux lists it; empty on other systems."""
    return frozenset(_told("flags").split())


def processor_name() -> str:
    """As Linux tells it; "" on other systems."""
    return _told("model name")


def _told(name: str) -> str:
    try:
        text = CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(name)), "")


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16."""
    return bool(processor_flags() & BFLOAT16_FLAGS)


def bfloat16_gain(
    in_float32: Callable[[], object], in_bfloat16: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """How many times as fast a frame is in bfloat16. Draws one in each."""
    times = []
    for draw in (in_float32, in_bfloat16):
        began = clock()
        draw()
        times.append(clock() - began)
    return times[0] / times[1] if times[1] > 0 else 0.0
