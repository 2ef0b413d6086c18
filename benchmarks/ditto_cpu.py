"""Measures one frame of Ditto (warp and decoder) on a CPU in every way that it has, against plain PyTorch in the same run.

    python benchmarks/ditto_cpu.py [--rounds 3] [--ways prepared bfloat16 onnxruntime] [--onnx_dir FOLDER] [--small] [--out FOLDER]

Weights are synthetic, of the published size (`--small`: few channels). In every round each way draws the same frame once, in turn, so that
what else the machine does hits all of them; a ratio is the median over the rounds of plain's time by the other's in the same round, of
wall time and of processor time. `db`: the frame against plain's. bfloat16 is left out where the processor does not multiply in it. Files
for ONNX Runtime and OpenVINO are exported first, and kept in --onnx_dir if it is given. OpenVINO, which the project does not use, is left
out where it is not installed (pip install openvino). Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from synthetic_ditto import SEED, SMALL, plain_networks  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from core.models.export import example_arguments, export_network  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.models.onnx_files import SIGNATURES, OnnxNetwork  # noqa: E402
from core.models.trt.grid_sample import without_volume_sampling  # noqa: E402
from core.optimization.cpu_precision import BFLOAT16_FLAGS, has_bfloat16, processor_flags, processor_name  # noqa: E402

ROLES = ("warp_network", "decoder")
WAYS = ("prepared", "bfloat16", "onnxruntime", "openvino", "openvino-bfloat16")
WANTED = 1.7
"""How many times as fast as plain PyTorch the best way is to be."""
Draw = Callable[[], Tensor]


def exported(plain: dict[str, nn.Module], role: str, folder: Path) -> Path:
    path = folder / SIGNATURES[role].files[0]
    if not path.is_file():
        print(f"exporting {path}", flush=True)
        prepared = prepare_for_inference(plain[role])  # type: ignore[call-overload]
        export_network(prepared, role, path, tuple(example_arguments(plain[role]).values()))
    return path


def by_openvino(plain: dict[str, nn.Module], arguments: tuple[Tensor, ...], folder: Path, precision: str) -> Draw:
    """precision: of products, by OpenVINO's names."""
    import onnx
    import openvino

    core, networks = openvino.Core(), {}
    for role in ROLES:
        # Its reader of ONNX files knows GridSample of pictures only.
        graph = without_volume_sampling(onnx.load(exported(plain, role, folder)))
        model = core.read_model(graph.SerializeToString())
        model.reshape({port: [1, *list(port.get_partial_shape())[1:]] for port in model.inputs})
        networks[role] = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"})
    arrays = [argument.numpy() for argument in arguments]
    return lambda: torch.from_numpy(networks["decoder"]([networks["warp_network"](arrays)[0]])[0])


def by_onnx_runtime(plain: dict[str, nn.Module], arguments: tuple[Tensor, ...], folder: Path) -> Draw:
    networks = {role: OnnxNetwork(role, exported(plain, role, folder)) for role in ROLES}
    arrays = [argument.numpy() for argument in arguments]
    return lambda: torch.from_numpy(networks["decoder"](networks["warp_network"](*arrays)[0])[0])


def ways(plain: dict[str, nn.Module], arguments: tuple[Tensor, ...], names: list[str], folder: Path) -> dict[str, Draw]:
    """Each draws the frame of the same arguments; what depends on the source alone is not in it, where a way knows to save that."""
    feature, kp_source, kp_driving = arguments
    out: dict[str, Draw] = {"plain": lambda: plain["decoder"](plain["warp_network"](feature, kp_source, kp_driving))}
    prepared: dict[str, Any] = {role: prepare_for_inference(plain[role]) for role in ROLES}  # type: ignore[call-overload]

    def torch_way(dtype: torch.dtype) -> Draw:
        warp, decode = (copy.deepcopy(prepared[role]).to(dtype) for role in ROLES)
        source = warp.source(feature, kp_source)
        return lambda: decode(warp.from_source(source, kp_driving)).float()

    if "prepared" in names:
        out["prepared"] = torch_way(torch.float32)
    if "bfloat16" in names:
        out["bfloat16"] = torch_way(torch.bfloat16)
    if "onnxruntime" in names:
        out["onnxruntime"] = by_onnx_runtime(plain, arguments, folder)
    for name, precision in (("openvino", "f32"), ("openvino-bfloat16", "bf16")):
        if name in names:
            out[name] = by_openvino(plain, arguments, folder, precision)
    return out


def measured(draw: Draw) -> tuple[float, float, Tensor]:
    """(wall seconds, processor seconds of all threads, the frame)."""
    wall, user = time.perf_counter(), os.times().user
    frame = draw()
    return time.perf_counter() - wall, os.times().user - user, frame


def decibels(frame: Tensor, true: Tensor) -> float:
    error = float((frame - true).square().mean())
    return 10 * float(np.log10(1 / error)) if error else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="beside plain PyTorch (default: all)")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; ONNX Runtime takes one per core (default: PyTorch's choice)")
    parser.add_argument("--onnx_dir", type=Path, help="folder where exported files are kept from run to run")
    parser.add_argument("--small", action="store_true", help="networks with few channels, to try the benchmark")
    parser.add_argument("--out", type=Path, help="folder for cpu.json")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    if options.threads:
        torch.set_num_threads(options.threads)
    names = list(options.ways)
    if not has_bfloat16():
        names = [name for name in names if "bfloat16" not in name]
        print(f"this processor has none of {', '.join(sorted(BFLOAT16_FLAGS))}: bfloat16 is left out")
    if importlib.util.find_spec("openvino") is None:
        names = [name for name in names if "openvino" not in name]
        print("OpenVINO is not installed, and is left out")
    plain = plain_networks(SMALL if options.small else None)
    generator = torch.Generator().manual_seed(SEED)
    given = example_arguments(plain["warp_network"], 1)
    points = torch.rand(1, given["kp_source"].shape[1], 3, generator=generator) - 0.5
    arguments = given["feature_3d"], points, points + 0.02 * torch.randn(points.shape, generator=generator)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.onnx_dir or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        draws = ways(plain, arguments, names, folder)
        frames = {name: draw() for name, draw in draws.items()}  # once unmeasured
        rounds: list[dict[str, tuple[float, float]]] = []
        for _ in range(options.rounds):
            rounds.append({name: measured(draw)[:2] for name, draw in draws.items()})
    rows = {}
    for name in draws:
        wall, user = ([one[name][i] for one in rounds] for i in (0, 1))
        gains = [statistics.median(one["plain"][i] / one[name][i] for one in rounds) for i in (0, 1)]
        rows[name] = {
            "wall_s": round(statistics.median(wall), 3), "user_s": round(statistics.median(user), 3), "gain_wall": round(gains[0], 2),
            "gain_user": round(gains[1], 2), "db": round(decibels(frames[name], frames["plain"]), 1),
        }  # fmt: skip
        print(f"{name:<12}", "  ".join(f"{key} {value}" for key, value in rows[name].items()), flush=True)
    best = max((name for name in rows if name != "plain"), key=lambda name: rows[name]["gain_wall"])
    gain = rows[best]["gain_wall"]
    print(f"best: {best}, {gain} times as fast as plain PyTorch (wanted: {WANTED})")
    rows["plain"]["db"] = None
    flags = sorted(processor_flags() & BFLOAT16_FLAGS)
    report = {
        "benchmark": "ditto_cpu", "small": options.small, "processor": processor_name(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "flags": flags, "rounds": options.rounds,
        "best": best, "gain": gain, "reached": gain >= WANTED, "rows": rows,
    }  # fmt: skip
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "cpu.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
