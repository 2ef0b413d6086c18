"""Runs a speech encoder of HuBERT's published size in PyTorch as the engine does, and compares it with ONNX Runtime in the same run.

    python benchmarks/ditto_speech.py [--device cuda:1] [--windows 1 2 4 8] [--repeats 20] [--small] [--out FOLDER]

Weights are made up (`--small`: two thin layers, to try it on a CPU). A window is 6480 samples and brings 5 frames, so a session needs 5
windows a second. Products are computed in float16 on a GPU, in float32 elsewhere. Left out, with a word, where onnx or onnxruntime is
missing; exit code 1 where rows are further off than they may be. Writes speech.json, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from ditto_stages import Clock, launches  # noqa: E402
from ditto_tensorrt import installed  # noqa: E402

from core.engines.ditto_speech import MOST_APART  # noqa: E402
from core.optimization.gpu_optimization import place  # noqa: E402

Row = dict[str, Any]
SAMPLES = 6480


def measured(options: argparse.Namespace, folder: Path) -> list[Row]:
    import onnx

    from core.aux_models.onnx_model import OnnxModel
    from core.models.onnx_torch.graph import TorchGraph
    from core.optimization.cuda_graphs import RecordedCall
    from tests.support.hubert_graph import SMALL, Size, hubert_graph

    device = place(options.device).device
    gpu = device.type == "cuda"
    products = torch.float16 if gpu else torch.float32
    model = hubert_graph(SMALL if options.small else Size())
    path = folder / "hubert.onnx"
    onnx.save(model, path)
    clock = Clock(device, options.repeats)
    heard = np.random.default_rng(0).uniform(-0.3, 0.3, (max(options.windows), 1, SAMPLES)).astype(np.float32)
    rows: list[Row] = []

    def row_of(way: str, n: int, call: Callable[[], Any]) -> Row:
        median, p95 = clock(call)
        return {"way": way, "windows": n, "ms": round(median, 3), "p95_ms": round(p95, 3), "ms_a_window": round(median / n, 3), "ok": True}

    for providers in ([("CUDAExecutionProvider", "CPUExecutionProvider")] if gpu else []) + [("CPUExecutionProvider",)]:
        runtime = OnnxModel(path, "speech encoder", providers)
        wanted = runtime(heard[0])[0]
        row = row_of(f"ONNX Runtime, {providers[0].removesuffix('ExecutionProvider')}", 1, lambda runtime=runtime: runtime(heard[0]))
        rows.append({**row, "used": not runtime.on_cpu_instead})
    del runtime  # and its memory
    graph = TorchGraph(model, (1, SAMPLES), device, products)
    del model
    pool = None
    for n in options.windows:
        given = torch.from_numpy(heard[:n]).to(device)
        call = RecordedCall(graph, [given], pool)
        pool = call.pool
        with torch.inference_mode():
            error = float(np.abs(call.replay()[0].float().cpu().numpy() - wanted).max() / np.abs(wanted).max())
            row = row_of(f"PyTorch, {str(products).removeprefix('torch.')}", n, call.replay)
            row["launches"] = launches(lambda given=given: graph(given), gpu)
        rows.append({**row, "error": round(error, 6), "limit": MOST_APART, "ok": error <= MOST_APART})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help='"cuda" or "cpu" (default: a GPU where there is one)')
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 2, 4, 8], help="at once")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--small", action="store_true", help="a network of two thin layers")
    parser.add_argument("--out", type=Path, help="folder for speech.json")
    options = parser.parse_args()
    if missing := [name for name in ("onnx", "onnxruntime") if not installed(name)]:
        why = f"not installed: {', '.join(missing)}"
        print(f"speech encoder: left out, {why}", flush=True)
        rows: list[Row] = [{"way": "none", "ok": True, "skipped": why}]
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows = measured(options, Path(folder))
    for row in rows:
        print(json.dumps(row), flush=True)
    report = {"benchmark": "ditto_speech", "ok": all(row["ok"] for row in rows), "small": options.small, "rows": rows}
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "speech.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
