"""Profiles a generation for the command line: its stages on every engine, operations and memory too where PyTorch runs them."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import disk_error
from core.stage_times import StageTimes, recording

SHOWN = 60
"""Operations in the table."""


def profile(run: Callable[[], Any], runs: int, memory: bool, folder: Path) -> str:
    """Calls `run` `runs` times and writes into `folder`: stages.txt and stages.json (the table), trace.json (when each stage ran).

    Where PyTorch is loaded also operations.txt and operations.json (its own trace); memory: with what each operation allocates. On a GPU
    each stage is waited for, so that its time is its own; stages then overlap less than they do otherwise.
    -> the table, with a line on memory. Raises OutputError where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _operations(folder, memory), recording(_settle()) as stages:
            for _ in range(runs):
                run()
        return _written(stages, runs, folder)
    except OSError as error:
        raise disk_error(error, f"The profile cannot be written to {folder}", "Choose a folder you may write to.") from error


def _written(stages: StageTimes, runs: int, folder: Path) -> str:
    peak = {"process_mb": _peak_process_mb()}
    if (torch := _torch_with_gpu()) is not None:
        peak["gpu_mb"] = torch.cuda.max_memory_allocated() >> 20
    memory = ", ".join(f"{name.removesuffix('_mb')} {value} MB" for name, value in peak.items())
    table = f"{stages.table()}{runs} run{'s' if runs > 1 else ''}; most memory: {memory}\n"
    (folder / "stages.txt").write_text(table, encoding="utf-8")
    (folder / "stages.json").write_text(json.dumps({"runs": runs, "peak": peak, "stages": stages.rows()}, indent=1), encoding="utf-8")
    stages.write_trace(folder / "trace.json")
    return table


@contextmanager
def _operations(folder: Path, memory: bool) -> Iterator[None]:
    """PyTorch's profiler around the runs, where PyTorch is loaded."""
    if "torch" not in sys.modules:
        yield
        return
    from torch._C._profiler import _ExperimentalConfig
    from torch.profiler import ProfilerActivity, profile

    gpu = _torch_with_gpu()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu is not None else [])]
    if gpu is not None:
        gpu.cuda.reset_peak_memory_stats()
    # The networks run on threads of their own.
    config = _ExperimentalConfig(profile_all_threads=True)
    with profile(activities=activities, profile_memory=memory, experimental_config=config) as profiler:
        yield
    order = "self_cpu_memory_usage" if memory and gpu is None else "self_cpu_time_total"
    if gpu is not None:
        order = "self_device_memory_usage" if memory else "self_device_time_total"
    table = profiler.key_averages().table(sort_by=order, row_limit=SHOWN, max_name_column_width=100)
    (folder / "operations.txt").write_text(table, encoding="utf-8")
    profiler.export_chrome_trace(str(folder / "operations.json"))


def _settle() -> Callable[[], None]:
    torch = _torch_with_gpu()
    return (lambda: None) if torch is None else torch.cuda.synchronize


def _torch_with_gpu() -> Any:
    """The module of PyTorch where it is loaded and a GPU is in use."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _peak_process_mb() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used >> (20 if sys.platform == "darwin" else 10)
