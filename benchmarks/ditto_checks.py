"""Checks Ditto's fast paths on the device at hand against plain networks in float32: kernels, parity, batches shared by sessions.

    python benchmarks/ditto_checks.py env|kernels|parity|servers ... [--device cpu] [--small] [--out FOLDER]

Weights are synthetic and of the published size (`--small`: few channels, to try it on a CPU). Needs what the benchmarks need: torch, numpy,
OpenCV. Writes one JSON file per check; exit code 1 where something is further off than it may be.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from synthetic_ditto import SMALL, Array, PublishedWay, SyntheticEngine, plain_networks, speech  # noqa: E402
from torch import Tensor  # noqa: E402

from core.engines.ditto_extractors import RecordedExtractors  # noqa: E402
from core.engines.ditto_networks import inference_form  # noqa: E402
from core.engines.motion_server import MotionServer  # noqa: E402
from core.models.fused import kernel_check, passes  # noqa: E402
from core.models.inference import prepare_for_gpu, prepare_for_inference, use_conv3d  # noqa: E402
from core.models.modules.conv3d import WAYS  # noqa: E402
from core.optimization.cuda_graphs import RecordedCall  # noqa: E402
from core.optimization.gpu_optimization import cuda_devices  # noqa: E402
from core.options import PRESETS, read_options  # noqa: E402
from core.request import RenderOptions

HALF_DB, SINGLE_DB, RECORDED_DB = 45.0, 70.0, 100.0
"""Least PSNR of frames: in half precision, in float32, and of a recorded call against the same call unrecorded."""
MOTION_ERROR = 1e-2
"""Most by which motion may differ, as a part of its largest value."""
STEPS = 10
BATCHES, CPU_BATCHES = (1, 2, 5, 10), (1, 2)
SESSIONS = 6
Row = dict[str, Any]


def psnr_db(a: Tensor, b: Tensor, peak: float = 1.0) -> float:
    error = float((a.double().cpu() - b.double().cpu()).pow(2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(peak**2 / error))


def apart(a: Any, b: Any) -> float:
    """Largest difference as a part of the largest value of b."""
    a, b = torch.as_tensor(a).double().cpu(), torch.as_tensor(b).double().cpu()
    return float((a - b).abs().max()) / max(float(b.abs().max()), 1e-12)


@contextmanager
def exact() -> Iterator[None]:
    """Products in full float32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


class Checks:
    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_grad_enabled(False)
        if options.small:
            torch.set_num_threads(1)  # for work this small, more only wait for each other
        self.plain = plain_networks(SMALL if options.small else None)
        self.engine = SyntheticEngine(self.plain, options.device, shared_batches=True)
        self.device = self.engine.placement.device
        self.gpu = self.device.type == "cuda"
        self.batches = BATCHES if self.gpu else CPU_BATCHES
        self.rows: list[Row] = []

    def add(self, what: str, name: str, value: float, limit: float, *, least: bool) -> None:
        """One result. least: the limit is the least that it may be, else the most."""
        fine = value >= limit if least else value <= limit
        row: Row = {"what": what, name: round(value, 6) if np.isfinite(value) else str(value), "limit": limit, "ok": bool(fine)}
        self.rows.append(row)
        print(f"{'ok  ' if fine else 'FAIL'} {what}: {name} {row[name]} ({'at least' if least else 'at most'} {limit})", flush=True)

    # ---- the machine

    def env(self) -> None:
        """What is here, and what was chosen."""
        placement, choice = self.engine.placement, inference_form(self.engine.placement).conv3d
        row: Row = {
            "what": "environment", "ok": True, "device": torch.cuda.get_device_name(self.device) if self.gpu else "CPU",
            "python": sys.version.split()[0], "torch": torch.__version__, "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(), "triton": importlib.util.find_spec("triton") is not None,
            "reason": placement.reason, "dtype": str(placement.dtype), "batch": placement.batch,
            "conv3d": choice.way, "conv3d_ms": choice.times_ms, "conv3d_note": choice.note,
        }  # fmt: skip
        if self.gpu:
            row |= {"memory_mb": [part >> 20 for part in torch.cuda.mem_get_info(self.device)], "driver_gpus": cuda_devices()}
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    # ---- kernels

    def kernels(self) -> None:
        """Every Triton kernel against PyTorch, in half precision and in float32."""
        if not self.gpu:
            print("kernels: there is no GPU to run them on", flush=True)
            self.rows.append({"what": "kernels", "ok": True, "skipped": "no GPU"})
            return
        from core.models.fused import kernels

        for dtype in (torch.float16, torch.float32):
            obstacle = kernel_check.difference(kernels, self.device, dtype)
            self.rows.append({"what": f"kernels in {dtype}", "ok": obstacle is None, "obstacle": obstacle})
            print(f"kernels in {dtype}: {obstacle or 'ok'}", flush=True)

    # ---- parity

    def parity(self) -> None:
        feature = self.engine.person().source.feature(0).float()
        source, driving = self._points(max(self.batches))
        warp, decoder = (self.plain[role].to(self.device) for role in ("warp_network", "decoder"))
        with exact():
            want = torch.cat([decoder(warp(feature, source, driving[i : i + 1])) for i in range(len(driving))])
        # On a CPU half precision takes minutes a frame.
        precisions = [(torch.float32, SINGLE_DB), *([(torch.float16, HALF_DB)] if self.gpu else [])]
        kernels = [("PyTorch's passes", None)]
        if self.gpu and kernel_check.enable_kernels(self.device) is None:
            from core.models.fused import kernels as module

            kernels.append(("kernels", module))
        forms: dict[str, Callable[[Any], Any]] = {"prepared": prepare_for_inference, "fused": prepare_for_gpu}
        for form, prepare in forms.items():
            ready = [prepare(copy.deepcopy(network)) for network in (warp, decoder)]
            for dtype, limit in precisions:
                networks = [copy.deepcopy(network).to(dtype) for network in ready]
                for with_what, told in kernels if form == "fused" else kernels[:1]:
                    with exact(), passes.using(told):
                        self._frames(f"{form}, {dtype}, {with_what}", networks, feature, source, driving, want, limit)
        dtype, limit = precisions[-1]
        for way in WAYS:
            network = prepare_for_gpu(copy.deepcopy(warp))
            use_conv3d(network, way)
            got = networks[1](network.to(dtype)(feature, source, driving[:1]))
            self.add(f"frames, fused, {dtype}, volumes {way}", "psnr_db", psnr_db(got, want[:1]), limit, least=True)
        self._extractors()
        self._motion()

    def _frames(self, what: str, networks: list[Any], feature: Tensor, source: Tensor, driving: Tensor, want: Tensor, limit: float) -> None:
        warp, decode = networks
        still = warp.source(feature, source)
        for n in self.batches:
            many = still.repeated(n)
            got = decode(warp.from_source(many, driving[:n]))
            worst = min(psnr_db(got[i], want[i]) for i in range(n))
            self.add(f"frames, {what}, batch {n}", "psnr_db", worst, limit, least=True)
            call = RecordedCall(lambda *given: decode(warp.from_source(type(still)(*given[:-1]), given[-1])), [*many, driving[:n]])
            call.inputs[-1].copy_(driving[:n].flip(0))
            call.replay()
            call.inputs[-1].copy_(driving[:n])  # other values than it was recorded with must show
            self.add(f"frames, {what}, batch {n}, recorded", "psnr_db", psnr_db(call.replay(), got), RECORDED_DB, least=True)

    def _points(self, n: int) -> tuple[Tensor, Tensor]:
        """Keypoints of a person and of n driven frames."""
        way = PublishedWay(self.plain, self.engine, self.engine.person(), RenderOptions(sampling_timesteps=2))
        frames = [frame for frame, _ in zip(way.stitched(speech(4.0)), range(n), strict=False)]
        driving = np.concatenate([frame.kp_driving for frame in frames])
        return torch.from_numpy(frames[0].kp_source).to(self.device), torch.from_numpy(driving).to(self.device)

    def _extractors(self) -> None:
        image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)).to(self.device)
        plain = [self.plain[role].to(self.device) for role in ("appearance_extractor", "motion_extractor")]
        with exact():
            want = [plain[0](image), *plain[1](image)]
        appearance, motion = (prepare_for_inference(copy.deepcopy(network)) for network in plain)  # type: ignore[call-overload]
        recorded = RecordedExtractors(appearance, motion, self.device)
        recorded.both(1 - image)  # other values than it is called with must show
        feature, info = recorded.both(image)
        for what, got in (("prepared", [appearance(image), *motion(image)]), ("recorded as one", [feature, *info])):
            self.add(f"extractors, {what}", "error", max(map(apart, got, want)), MOTION_ERROR, least=False)

    def _windows(self, n: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        shapes = ((n, 265), (n, 80, 1103), (n, 80, 265), (STEPS - 1, n, 80, 265))
        return [torch.randn(shape, generator=generator).to(self.device) for shape in shapes]

    def _motion(self) -> None:
        lmdm, n = self.plain["lmdm"].to(self.device), 3
        windows = self._windows(n)
        with exact():
            want = lmdm.sample(*windows[:2], STEPS, x_T=windows[2], noises=windows[3])  # type: ignore[operator]
        prepared = prepare_for_inference(lmdm)  # type: ignore[call-overload]
        loop = prepared.sampler(STEPS)
        self.add("motion, prepared", "error", apart(loop(*windows), want), MOTION_ERROR, least=False)
        self.add("motion, recorded", "error", apart(RecordedCall(loop, windows).replay(), want), MOTION_ERROR, least=False)
        server = MotionServer(prepared.sampler, self.device)
        found: list[Any] = [None] * n
        arrays = [window.cpu().numpy() for window in windows]

        def ask(i: int) -> None:
            sample = server.sampler(STEPS)
            for _ in range(3):  # the later ones meet in batches
                found[i] = sample(*(a[i : i + 1] for a in arrays[:3]), arrays[3][:, i : i + 1])

        at_once(ask, n)
        server.close()
        self.add("motion, by the server for several sessions", "error", apart(np.concatenate(found), want), MOTION_ERROR, least=False)

    # ---- batches shared by sessions

    def servers(self) -> None:
        """Sessions at the same time, each on a person registered meanwhile, against the same sessions one after another."""
        alone = [self._spoken(i) for i in range(SESSIONS)]
        together: list[Any] = [None] * SESSIONS

        def speak(i: int) -> None:
            if i == SESSIONS:
                self._interrupting()
            else:
                together[i] = self._spoken(i)

        at_once(speak, SESSIONS + 1)
        for i, (got, want) in enumerate(zip(together, alone, strict=True)):
            self.add(f"session {i}, frames missing", "frames", abs(len(got) - len(want)), 0, least=False)
            pairs = list(zip(map(torch.from_numpy, got), map(torch.from_numpy, want), strict=False))
            self.add(f"session {i} beside others", "psnr_db", min(psnr_db(a, b, 255.0) for a, b in pairs), HALF_DB, least=True)
            self.add(f"session {i}, frames that are rather another's", "frames", self._strange(i, got, alone), 0, least=False)

    def _spoken(self, number: int) -> list[Array]:
        options = read_options({**PRESETS["realtime"], "size": 320, "sampling_timesteps": 5, "seed": number})
        session = self.engine.session(self.engine.person(number), options.controls, options.render)
        samples = np.roll(speech(1.2), 1000 * number)
        try:
            return [*session.push(samples), *session.flush()]
        finally:
            session.interrupt()

    def _interrupting(self) -> None:
        """Somebody who breaks off again and again, with frames under way."""
        options = read_options({**PRESETS["realtime"], "size": 320, "sampling_timesteps": 5})
        session = self.engine.session(self.engine.person(SESSIONS), options.controls, options.render)
        for _ in range(4):
            next(session.push(speech(0.9)), None)
            session.interrupt()
            next(session.idle(1), None)

    def _strange(self, number: int, got: list[Array], alone: list[list[Array]]) -> int:
        """Frames that are nearer to the frame before or after, or to the same one of another session, than to what they should be."""

        def error(a: Array, b: Array) -> float:
            return float(np.square(a.astype(np.float32) - b.astype(np.float32)).mean())

        strange = 0
        for j, frame in enumerate(got[: len(alone[number])]):
            own = error(frame, alone[number][j])
            others = [alone[number][k] for k in (j - 1, j + 1) if 0 <= k < len(alone[number])]
            others += [alone[i][j] for i in range(SESSIONS) if i != number and j < len(alone[i])]
            strange += any(error(frame, other) < own for other in others)
        return strange


def at_once(work: Callable[[int], None], n: int) -> None:
    """Calls work(0) to work(n - 1) on a thread each. Raises what the first of them raised."""
    failed: list[BaseException] = []

    def run(i: int) -> None:
        try:
            work(i)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checks", nargs="+", choices=("env", "kernels", "parity", "servers"))
    parser.add_argument("--device", help='"cuda" or "cpu" (default: a GPU where there is one)')
    parser.add_argument("--small", action="store_true", help="networks with few channels, to try the checks on a CPU")
    parser.add_argument("--out", type=Path, help="folder for one JSON file per check")
    options = parser.parse_args()
    checks, fine = Checks(options), True
    for name in options.checks:
        checks.rows = []
        getattr(checks, name)()
        ok = all(row["ok"] for row in checks.rows)
        fine = fine and ok
        report = {"check": name, "ok": ok, "device": str(checks.device), "small": options.small, "rows": checks.rows}
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{name}.json").write_text(json.dumps(report, indent=1))
    checks.engine.close()
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
