"""Measures every stage of Ditto at its published size, by batch: as published, as the engine runs it, and the device's limit.

    python benchmarks/ditto_stages.py [--device cpu] [--batches 1 2 5 10 20] [--repeats 20] [--small] [--out FOLDER] [--profile]

Weights are synthetic (`--small`: of networks with few channels, to try it on a CPU). A time is that of the whole batch on the device, from
an event before to an event after; `launches` are kernels (on a GPU) or operations (on a CPU) of one call that is not recorded as a graph.
Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from synthetic_ditto import SMALL, PublishedWay, SyntheticEngine, plain_networks, speech  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from core.atomic_components.putback import Canvas  # noqa: E402
from core.engines.ditto_extractors import RecordedExtractors  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.optimization.cuda_graphs import RecordedCall  # noqa: E402
from core.optimization.resolution_optimization import face_cut  # noqa: E402
from core.request import RenderOptions

STEPS = 10
"""Of the motion diffusion, as the realtime preset has it."""
PARTS = ("baseline", "registration", "motion", "pictures")
Row = dict[str, Any]


class Clock:
    """Median and 95th percentile of repeated calls, in milliseconds."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.gpu = device.type == "cuda"

    def __call__(self, call: Callable[[], Any], repeats: int = 0) -> tuple[float, float]:
        repeats = repeats or self.repeats
        for _ in range(2 if self.gpu else 1):
            call()
        times: list[float] = []
        for _ in range(repeats):
            if self.gpu:
                torch.cuda.synchronize(self.device)
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record()
                call()
                end.record()
                torch.cuda.synchronize(self.device)
                times.append(start.elapsed_time(end))
            else:
                began = time.perf_counter()
                call()
                times.append(1000 * (time.perf_counter() - began))
        times.sort()
        return statistics.median(times), times[min(len(times) - 1, round(0.95 * (len(times) - 1)))]


def launches(call: Callable[[], Any], gpu: bool) -> int:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as profiler:
        call()
        if gpu:
            torch.cuda.synchronize()
    if gpu:
        return sum(event.count for event in profiler.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA)
    return sum(event.count for event in profiler.key_averages() if event.key.startswith("aten::"))


def tflop(call: Callable[[], Any]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e12


def ceilings(clock: Clock) -> dict[str, float]:
    """What the device does at most: half-precision matrix products, and bytes moved within its memory."""
    n = 8192 if clock.gpu else 1024
    dtype = torch.float16 if clock.gpu else torch.float32
    a = torch.randn(n, n, device=clock.device, dtype=dtype)
    product_ms, _ = clock(lambda: a @ a)
    data = torch.empty(2**30 if clock.gpu else 2**26, dtype=torch.uint8, device=clock.device)
    copy = torch.empty_like(data)
    copy_ms, _ = clock(lambda: copy.copy_(data))
    return {"matmul_tflops": round(2 * n**3 / product_ms / 1e9, 3), "copy_tb_s": round(2 * data.numel() / copy_ms / 1e9, 3)}


class Stages:
    """Rows of the table, measured as they are asked for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.rows: list[Row] = []
        torch.set_grad_enabled(False)
        if options.small:
            torch.set_num_threads(1)  # for work this small, more only wait for each other
        self.plain = plain_networks(SMALL if options.small else None)
        self.engine = SyntheticEngine(self.plain, options.device)
        self.device = self.engine.placement.device
        self.clock = Clock(self.device, options.repeats)
        self.gpu = self.clock.gpu
        self.dtype = self.engine.placement.dtype
        self.render = RenderOptions()
        self.person = self.engine.person()
        self.published = PublishedWay(self.plain, self.engine, self.person, RenderOptions(sampling_timesteps=STEPS))
        self.frames = [frame for frame, _ in zip(self.published.stitched(speech(4.0)), range(20), strict=False)]
        self.ceilings = ceilings(self.clock)

    def add(
        self, way: str, stage: str, batch: int, call: Callable[[], Any], work: Callable[[], Any] | None = None, repeats: int = 0
    ) -> None:
        """work: the same as torch operations, to count them and their arithmetic (a recorded call shows none)."""
        if self.gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        median, p95 = self.clock(call, repeats)
        row: Row = {"way": way, "stage": stage, "batch": batch, "median_ms": round(median, 3), "p95_ms": round(p95, 3)}
        row["ms_per_item"] = round(median / batch, 3)
        if self.gpu:
            row["peak_mb"] = torch.cuda.max_memory_allocated(self.device) >> 20
        if work is not None:
            done = tflop(work)
            row |= {"launches": launches(work, self.gpu), "gmac": round(done * 500, 2), "tflops": round(done / median * 1000, 1)}
            row["of_ceiling"] = round(row["tflops"] / self.ceilings["matmul_tflops"], 3)
        self.rows.append(row)
        show(row)

    def baseline(self) -> None:
        way, frame, few = self.published, self.frames[0], 10 if self.gpu else 2
        feature = way.warp(frame)
        picture = way.decode(feature)
        self.add("published", "warp", 1, lambda: way.warp(frame), repeats=few)
        self.add("published", "decode", 1, lambda: way.decode(feature), repeats=few)
        self.add("published", "put back", 1, lambda: way.put_back(picture), repeats=few)
        lmdm, windows = self.plain["lmdm"].to(self.device), self.windows(1)
        self.add(
            "published",
            f"motion window, {STEPS} steps",
            1,
            lambda: lmdm.sample(*windows[:2], STEPS, x_T=windows[2], noises=windows[3]),
            repeats=3,
        )  # type: ignore[operator]

    def registration(self) -> None:
        """What the networks do for a photo: plain one after the other, and recorded as one."""
        image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)).to(self.device)
        appearance, motion = (self.plain[role].to(self.device) for role in ("appearance_extractor", "motion_extractor"))

        def published() -> None:
            with torch.autocast(self.device.type, torch.float16, enabled=self.gpu):
                appearance(image), motion(image)

        self.add("published", "appearance and motion", 1, published)
        networks = self.engine.networks
        recorded = RecordedExtractors(networks.appearance, networks.motion, self.device)
        one_by_one = lambda: (networks.appearance(image), networks.motion(image))  # noqa: E731
        self.add("engine", "appearance and motion", 1, lambda: recorded.both(image), one_by_one)

    def windows(self, n: int) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        shapes = ((n, 265), (n, 80, 1103), (n, 80, 265), (STEPS - 1, n, 80, 265))
        return [torch.randn(shape, generator=generator).to(self.device) for shape in shapes]

    def motion(self, sizes: list[int]) -> None:
        loop = prepare_for_inference(self.plain["lmdm"].to(self.device)).sampler(STEPS)  # type: ignore[call-overload]
        for n in sizes:
            windows = self.windows(n)
            call = RecordedCall(loop, windows)
            self.add("engine", f"motion window, {STEPS} steps", n, call.replay, lambda windows=windows: loop(*windows))
        if self.gpu:
            encoder = self.engine.speech_encoder()
            heard = np.zeros((1, 6480), np.float32)
            self.add("engine", "speech features (stand-in)", 1, lambda: encoder(heard))

    def pictures(self, batches: list[int]) -> None:
        networks, source = self.engine.networks, self.person.source
        still = networks.warp.source(source.feature(0), torch.from_numpy(self.frames[0].kp_source).to(self.device))
        cut = face_cut(source.width, source.height, source.face_box)
        canvas = Canvas(source.picture(0), source.frames[0].m_c2o, cut, 320, 320).on(self.device)
        for n in batches:
            points = torch.from_numpy(np.concatenate([frame.kp_driving for frame in self.frames[:n]])).to(self.device)
            many = still.repeated(n)
            feature = networks.warp.from_source(many, points)
            renders = networks.decode(feature)
            warp = RecordedCall(lambda p, many=many: networks.warp.from_source(many, p), [points])
            decode = RecordedCall(networks.decode, [feature])
            both = RecordedCall(lambda p, many=many: networks.decode(networks.warp.from_source(many, p)), [points])
            self.add("engine", "warp", n, warp.replay, lambda many=many, points=points: networks.warp.from_source(many, points))
            self.add("engine", "decode", n, decode.replay, lambda feature=feature: networks.decode(feature))
            self.add("engine", "warp and decode", n, both.replay)
            self.add("engine", "put back, 320", n, lambda renders=renders: canvas.put(renders))
            pictures = canvas.put(renders)
            if self.gpu:
                pinned = torch.empty(pictures.shape, dtype=pictures.dtype, pin_memory=True)
                self.add("engine", "to the machine", n, lambda pictures=pictures, pinned=pinned: pinned.copy_(pictures, non_blocking=True))


def show(row: Row) -> None:
    more = "".join(f"  {name} {row[name]}" for name in ("gmac", "launches", "tflops", "of_ceiling", "peak_mb") if name in row)
    print(f"{row['way']:<10} {row['stage']:<28} x{row['batch']:<3} {row['median_ms']:>9.3f} ms  p95 {row['p95_ms']:>9.3f}"
          f"  each {row['ms_per_item']:>8.3f}{more}", flush=True)  # fmt: skip


def plot(rows: list[Row], path: Path) -> None:
    """Milliseconds a frame of warp and decoder over the batch, the published way as a line above."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for stage in ("warp", "decode", "warp and decode"):
        found = [row for row in rows if row["way"] == "engine" and row["stage"] == stage]
        axes.plot([row["batch"] for row in found], [row["ms_per_item"] for row in found], marker="o", label=stage)
    before = sum(row["ms_per_item"] for row in rows if row["way"] == "published" and row["stage"] in ("warp", "decode"))
    axes.axhline(before, linestyle="--", color="grey", label="warp and decode as published, one at a time")
    axes.set(xlabel="frames at once", ylabel="ms a frame", yscale="log")
    axes.legend()
    figure.savefig(path, bbox_inches="tight", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help='"cuda" or "cpu" (default: a GPU where there is one)')
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--small", action="store_true", help="networks with few channels, to try the benchmark on a CPU")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts of it (default: all)")
    parser.add_argument("--profile", action="store_true", help="also a table of the kernels of one batch of 10, with --out")
    parser.add_argument("--out", type=Path, help="folder for stages.json, stages.png (where matplotlib is installed) and profile.txt")
    options = parser.parse_args()
    parts = options.only or PARTS
    stages = Stages(options)
    name = torch.cuda.get_device_name(stages.device) if stages.gpu else "CPU"
    dtype = str(stages.dtype).removeprefix("torch.")
    report: dict[str, Any] = {
        "benchmark": "ditto_stages", "small": options.small, "device": name, "torch": torch.__version__, "dtype": dtype,
        "cudnn": torch.backends.cudnn.version(), **stages.ceilings,
    }  # fmt: skip
    print(json.dumps(report), flush=True)
    if "baseline" in parts:
        stages.baseline()
    if "registration" in parts:
        stages.registration()
    if "motion" in parts:
        stages.motion([1, 2, 4, 8] if stages.gpu else [1])
    if "pictures" in parts:
        stages.pictures(options.batches)
    report["rows"] = stages.rows
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "stages.json").write_text(json.dumps(report, indent=1))
        if "pictures" in parts and "baseline" in parts:
            try:
                plot(stages.rows, options.out / "stages.png")
            except ImportError:
                print("no plot: matplotlib is not installed", flush=True)
        if options.profile:
            (options.out / "profile.txt").write_text(kernels(stages))
    print(json.dumps(report))


def kernels(stages: Stages) -> str:
    from torch.profiler import ProfilerActivity, profile

    networks, n = stages.engine.networks, 10
    still = networks.warp.source(stages.person.source.feature(0), torch.from_numpy(stages.frames[0].kp_source).to(stages.device))
    points = torch.from_numpy(np.concatenate([frame.kp_driving for frame in stages.frames[:n]])).to(stages.device)
    with profile(activities=[ProfilerActivity.CUDA if stages.gpu else ProfilerActivity.CPU]) as profiler:
        networks.decode(networks.warp.from_source(still, points))
        if stages.gpu:
            torch.cuda.synchronize()
    return profiler.key_averages().table(
        sort_by="cuda_time_total" if stages.gpu else "cpu_time_total", row_limit=60, max_name_column_width=110
    )


if __name__ == "__main__":
    main()
