"""Builds Ditto's TensorRT engines of synthetic weights, then compares them with plain networks in float32 and times them beside PyTorch.

    python benchmarks/ditto_tensorrt.py build|check --work FOLDER [--device cuda:1] [--small] [--out FOLDER]

`build` exports the networks to ONNX and runs scripts/cvt_onnx_to_trt.py on them; what an earlier run finished is kept, so one that ran out
of time goes on. `check` needs what `build` made. Both are left out, and say so, where TensorRT or a GPU is missing; exit code 1 where an
engine cannot be built or is further off than it may be. Writes tensorrt_build.json or tensorrt.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402
from ditto_checks import HALF_DB, MOTION_ERROR, STEPS, apart, exact, psnr_db  # noqa: E402
from ditto_stages import Clock  # noqa: E402
from synthetic_ditto import SEED, SMALL, SyntheticEngine, plain_networks  # noqa: E402

from core.engines.ditto_networks import NETWORKS, Networks, load_networks  # noqa: E402
from core.models.config import MotionConfig  # noqa: E402
from core.optimization.gpu_optimization import Placement, gpu_obstacle  # noqa: E402

Row = dict[str, Any]


def obstacle(device: str | None) -> str | None:
    """Why there is nothing to do here."""
    missing = [name for name in ("tensorrt", "onnx", "onnxscript", "onnxruntime") if not installed(name)]
    return f"not installed: {', '.join(missing)}" if missing else gpu_obstacle(device)


def installed(name: str) -> bool:
    if importlib.util.find_spec(name) is None:
        return False
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def paths_in(work: Path) -> dict[str, Path]:
    from core.models.onnx_files import SIGNATURES

    return {role: work / "onnx" / SIGNATURES[role].files[0] for role in NETWORKS}


def build(plain: dict[str, Any], work: Path) -> list[Row]:
    from core.models.export import example_arguments, export_network
    from core.models.inference import prepare_for_inference

    rows: list[Row] = []
    for role, path in paths_in(work).items():
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            began = time.perf_counter()
            prepared = prepare_for_inference(plain[role])
            error = export_network(prepared, role, path, tuple(example_arguments(plain[role]).values()))
            rows.append({"what": f"export of {role}", "ok": True, "error": error, "s": round(time.perf_counter() - began, 1)})
            print(rows[-1], flush=True)
    began = time.perf_counter()
    script = [sys.executable, str(HERE.parent / "scripts" / "cvt_onnx_to_trt.py")]
    code = subprocess.run([*script, "--onnx_dir", str(work / "onnx"), "--trt_dir", str(work / "trt")], check=False).returncode
    return [*rows, {"what": "cvt_onnx_to_trt.py", "ok": code == 0, "exit_code": code, "s": round(time.perf_counter() - began, 1)}]


def check(plain: dict[str, Any], work: Path, device: str | None) -> list[Row]:
    engines, placement = load_networks(paths_in(work), device, MotionConfig(""), backend="tensorrt")
    torch_engine = SyntheticEngine(plain, device, shared_batches=False)
    rows: list[Row] = []
    n = placement.batch
    frame, window = arguments(plain, n, placement)
    with exact():
        warp, decoder, lmdm = (plain[role].to(placement.device).float() for role in ("warp_network", "decoder", "lmdm"))
        want = torch.cat([decoder(warp(frame[0], frame[1], points)) for points in frame[2].split(1)])
        moved = lmdm.sample(*(torch.from_numpy(x).to(placement.device) for x in window[:2]), STEPS, x_T=torch.from_numpy(window[2]).to(
            placement.device), noises=torch.from_numpy(window[3]).to(placement.device))  # fmt: skip
    db = min(psnr_db(a, b) for a, b in zip(drawn(engines, frame), want, strict=True))
    rows.append({"what": "frames of the engines", "psnr_db": round(db, 1), "limit": HALF_DB, "ok": db >= HALF_DB})
    error = apart(engines.sampler(STEPS)(*window), moved)
    rows.append({"what": "motion of the engines", "error": error, "limit": MOTION_ERROR, "ok": error <= MOTION_ERROR})
    clock = Clock(placement.device, 20)
    for name, networks in (("TensorRT", engines), ("PyTorch", torch_engine.networks)):
        source = networks.warp.source(frame[0], frame[1])

        def draw(networks: Networks = networks, source: Any = source) -> Any:
            return networks.decode(networks.warp.from_source(source, frame[2]))

        ms, p95 = clock(draw)
        motion_ms, _ = clock(lambda networks=networks: networks.sampler(STEPS)(*window))
        rows.append({
            "what": name, "ok": True, "batch": n, "ms_a_frame": round(ms / n, 3), "p95_ms_a_frame": round(p95 / n, 3),
            "ms_a_window": round(motion_ms, 2),
        })  # fmt: skip
    torch_engine.close()
    return rows


def arguments(plain: dict[str, Any], n: int, placement: Placement) -> tuple[tuple[torch.Tensor, ...], tuple[Any, ...]]:
    """Of a batch of frames, on the device; of a window of motion, as arrays."""
    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    network = plain["warp_network"]
    points = normal(1, 21, 3) * 0.3
    frame = normal(1, network.volume_channels, network.volume_depth, 64, 64), points, points + 0.02 * normal(n, 21, 3)
    window = normal(1, 265), normal(1, 80, 1103), normal(1, 80, 265), normal(STEPS - 1, 1, 80, 265)
    return tuple(x.to(placement.device) for x in frame), tuple(x.numpy() for x in window)


def drawn(networks: Networks, frame: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return networks.decode(networks.warp.from_source(networks.warp.source(frame[0], frame[1]), frame[2]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("build", "check"))
    parser.add_argument("--work", type=Path, required=True, help="folder of the ONNX files and the engines")
    parser.add_argument("--device", help='"cuda", "cuda:1" (default: the first GPU)')
    parser.add_argument("--small", action="store_true", help="networks with few channels")
    parser.add_argument("--out", type=Path, help="folder for the JSON file")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    if (why := obstacle(options.device)) is not None:
        print(f"TensorRT: left out, {why}", flush=True)
        rows: list[Row] = [{"what": options.part, "ok": True, "skipped": why}]
    else:
        plain = plain_networks(SMALL if options.small else None)
        rows = build(plain, options.work) if options.part == "build" else check(plain, options.work, options.device)
    for row in rows:
        print(json.dumps(row), flush=True)
    report = {"benchmark": f"ditto_tensorrt {options.part}", "ok": all(row["ok"] for row in rows), "small": options.small, "rows": rows}
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"tensorrt{'_build' if options.part == 'build' else ''}.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
