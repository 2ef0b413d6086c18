"""Measures Ditto's networks of the published size, plain against prepared: time, parameters, GMACs, memory and each saving.

    python benchmarks/networks.py [--device cuda --dtype float16] [--batch 4] [--repeats 5] [--networks decoder warp_network] [--savings]

Weights are random: no checkpoint is needed, and times do not depend on them. Forms are timed in turn, so that what else the machine does
hits both. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from core.models import LMDM, AppearanceExtractor, Decoder, MotionExtractor, StitchNetwork, WarpNetwork  # noqa: E402
from core.models.export import example_arguments  # noqa: E402
from core.models.inference import prepare_for_inference  # noqa: E402
from core.models.modules import dense_motion  # noqa: E402
from core.models.modules.spade import LEAK, repeat_pixels  # noqa: E402
from core.models.prepared import decoder as prepared_decoder  # noqa: E402
from core.models.prepared import warp as prepared_warp  # noqa: E402

NETWORKS: dict[str, type[nn.Module]] = {
    "appearance_extractor": AppearanceExtractor,
    "motion_extractor": MotionExtractor,
    "stitch_network": StitchNetwork,
    "lmdm": LMDM,
    "warp_network": WarpNetwork,
    "decoder": Decoder,
}
PUBLISHED_GMACS = {
    "appearance_extractor": 32.0571,
    "motion_extractor": 5.8187,
    "stitch_network": 0.0,
    "lmdm": 4.9045,
    "warp_network": 171.0357,
    "decoder": 445.7874,
}
"""Of one forward pass of the published code, batch 1."""
SAMPLING_STEPS = 10
Run = Callable[[], Any]


def timed(runs: dict[str, Run], repeats: int, device: torch.device) -> dict[str, dict[str, float]]:
    """{name: milliseconds}: every run warmed up once, then all in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(repeats + 1):
        for name, run in runs.items():
            synchronize(device)
            start = time.perf_counter()
            run()
            synchronize(device)
            if i:
                seconds[name].append(time.perf_counter() - start)
    return {name: summary([1000 * s for s in values]) for name, values in seconds.items()}


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summary(values_ms: list[float]) -> dict[str, float]:
    ordered = sorted(values_ms)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"best_ms": round(ordered[0], 2), "median_ms": round(statistics.median(ordered), 2), "p95_ms": round(p95, 2)}


def gmacs(run: Run) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return round(counter.get_total_flops() / 2e9, 4)


def weight_mb(network: nn.Module) -> float:
    tensors = {t.data_ptr(): t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers())}
    return round(sum(tensors.values()) / 2**20, 1)


def peak_mb(run: Run, device: torch.device) -> float:
    """Of the device's memory during a run; on a CPU of the whole process so far."""
    if device.type != "cuda":
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)


def measure(name: str, options: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    torch.manual_seed(0)
    plain = NETWORKS[name]().eval().requires_grad_(False).to(device, dtype)
    prepared: Any = prepare_for_inference(plain)  # type: ignore[call-overload]
    given = example_arguments(plain, options.batch)
    runs: dict[str, Run] = {"plain": lambda: plain(**given), "prepared": lambda: prepared(**given)}
    out: dict[str, Any] = {
        "parameters": sum(p.numel() for p in plain.parameters()),
        "gmacs_published": round(PUBLISHED_GMACS[name] * options.batch, 4),
        "gmacs": {form: gmacs(run) for form, run in runs.items()},
        "weights_mb": {"plain": weight_mb(plain), "prepared": weight_mb(prepared)},
    }
    if name == "warp_network":
        source = prepared.source(given["feature_3d"], given["kp_source"])
        runs["prepared, source known"] = lambda: prepared.from_source(source, given["kp_driving"])
        out["gmacs"]["prepared, source known"] = gmacs(runs["prepared, source known"])
    if name == "lmdm":
        rest = {"cond_frame": given["cond_frame"], "cond": given["cond"], "steps": SAMPLING_STEPS}
        for form, net in (("plain", plain), ("prepared", prepared)):
            key = f"{form}, window of {SAMPLING_STEPS} steps"
            runs[key] = lambda net=net: net.sample(**rest, generator=torch.Generator().manual_seed(0))
            object.__setattr__(prepared, "kept", None)
            out["gmacs"][key] = gmacs(runs[key])
    out["time"] = timed(runs, options.repeats, device)
    out["peak_mb"] = {form: peak_mb(run, device) for form, run in runs.items()}
    if options.savings and name in SAVINGS:
        pairs = SAVINGS[name](plain, prepared, given)
        out["savings"] = {what: timed({"plain": a, "prepared": b}, options.repeats, device) for what, (a, b) in pairs.items()}
    return out


Pairs = dict[str, tuple[Run, Run]]


def decoder_savings(plain: Any, prepared: Any, given: dict[str, torch.Tensor]) -> Pairs:
    """Each saving of the decoder alone, in the block where it weighs most."""
    feature = given["feature"].to(prepared.fc.weight.dtype)
    last = feature.contiguous(memory_format=torch.channels_last)
    small = torch.randn(len(feature), plain.up_1.norm_0.mlp_gamma.out_channels, 128, 128).to(feature)
    deep = prepared.fc(feature)
    block, fast = plain.up_1, prepared.up_1
    shared = F.relu(block.norm_0.mlp_shared(repeat_pixels(feature, 4)))
    values = F.relu(fast.norm_0.shared(last))

    def gain_offset() -> None:
        block.norm_0.mlp_gamma(shared)
        block.norm_0.mlp_beta(shared)

    def shortcut() -> torch.Tensor:
        flat = prepared_decoder.instance_norm(small)
        painted = fast.norm_s(last)
        short = [fast.conv_s(prepared_decoder.phase(flat, r // 2, s // 2, 2) * g) + b for r, s, g, b in painted]
        return prepared_decoder.join_phases(short, 4)

    def activated() -> torch.Tensor:
        return F.leaky_relu(block.norm_0(repeat_pixels(small, 2), feature), LEAK)

    def phased() -> torch.Tensor:
        flat = prepared_decoder.instance_norm(small)
        parts = fast.norm_0(last)
        joined = [F.leaky_relu(torch.addcmul(b, prepared_decoder.phase(flat, r // 2, s // 2, 2), g), LEAK) for r, s, g, b in parts]
        return prepared_decoder.join_phases(joined, 4)

    return {
        "spectral norm folded, all convolutions": (
            lambda: [m.weight() for m in plain.modules() if hasattr(m, "weight_u")],
            lambda: None,
        ),
        "map convolution on distinct values, up_1": (
            lambda: block.norm_0.mlp_shared(repeat_pixels(feature, 4)),
            lambda: fast.norm_0.shared(last),
        ),
        "gain and offset on distinct values, up_1": (gain_offset, lambda: [conv(values) for conv in fast.norm_0.convs]),
        "whole SPADE, phase by phase, up_1": (activated, phased),
        "shortcut with its offset composed, up_1": (lambda: block.conv_s(block.norm_s(repeat_pixels(small, 2), feature)), shortcut),
        "middle block": (lambda: plain.G_middle_1(deep, feature), lambda: prepared.middle[1](deep, feature)),
        "up_0": (lambda: plain.up_0(repeat_pixels(deep, 2), feature), lambda: prepared.up_0(deep, last)),
        "up_1": (lambda: plain.up_1(repeat_pixels(small, 2), feature), lambda: prepared.up_1(small, last)),
    }


def warp_savings(plain: Any, prepared: Any, given: dict[str, torch.Tensor]) -> Pairs:
    """Each saving of the warp network alone."""
    net, fast = plain.dense_motion_network, prepared.dense_motion_network
    feature, source, driving = given["feature_3d"].to(plain.fourth.weight.dtype), given["kp_source"], given["kp_driving"]
    once = prepared.source(feature, source)
    grid = dense_motion.identity_grid(feature)
    motions = dense_motion.sparse_motions(grid, source, driving)
    mask = torch.rand(len(feature), 22, *feature.shape[-3:], device=feature.device).softmax(1)
    block, quick = net.hourglass.decoder.up_blocks[4], fast.up_blocks[4]
    small = torch.randn(len(feature), block.conv.in_channels, 16, 32, 32).to(feature)
    stacked = torch.randn(len(feature), 110, 16, 64, 64).to(feature)
    changing = net.hourglass.encoder.down_blocks[0].conv
    partial = changing(stacked)

    def flow() -> torch.Tensor:
        return (motions.permute(0, 1, 5, 2, 3, 4) * mask.unsqueeze(2)).sum(dim=1).permute(0, 2, 3, 4, 1)

    return {
        "up block on the small volume": (lambda: block(small), lambda: quick(small)),
        "spots, axis by axis, source known": (
            lambda: dense_motion.heatmap(grid, driving) - dense_motion.heatmap(grid, source),
            lambda: prepared_warp.separable_spots(driving, feature) - once.spots,
        ),
        "volumes along the motions, the unmoved one known": (
            lambda: dense_motion.deform(once.compressed, motions),
            lambda: dense_motion.deform(once.compressed, motions[:, 1:]),
        ),
        "flow from shifts": (flow, lambda: torch.einsum("nkdhw,nkc->ndhwc", mask[:, 1:], source - driving) + grid),
        "source features": (lambda: prepared.source(feature, source), lambda: None),
        "(dropped) source-only channels of the first convolution": (
            lambda: changing(stacked),
            lambda: F.conv3d(stacked[:, 5:], changing.weight[:, 5:], padding=1) + partial,
        ),
    }


def lmdm_savings(plain: Any, prepared: Any, given: dict[str, torch.Tensor]) -> Pairs:
    """What of one step is done once per window, once per step count, or in half the passes."""
    frame, cond, x, times = given["cond_frame"], given["cond"], given["x"], given["time_cond"]
    window, known = prepared.window(frame, cond), prepared.times(times)
    film = prepared.films(known.hidden.repeat(2, 1), window.hidden)
    memory = [type(kv)(*(t.repeat(2, 1, 1, 1) for t in kv)) for kv in known.memory]
    return {
        "step with window and times known": (lambda: plain.denoise(**given), lambda: prepared.x_start(x, window, memory, film)),
        "condition, once per window": (lambda: prepared.window(frame, cond), lambda: None),
        "times, once per step count": (lambda: prepared.times(times), lambda: None),
        "modulation, once per window": (lambda: prepared.films(known.hidden.repeat(2, 1), window.hidden), lambda: None),
    }


SAVINGS: dict[str, Callable[[Any, Any, dict[str, torch.Tensor]], Pairs]] = {
    "decoder": decoder_savings,
    "warp_network": warp_savings,
    "lmdm": lmdm_savings,
}


def show(name: str, found: dict[str, Any]) -> None:
    counts = ", ".join(f"{form} {value:g}" for form, value in found["gmacs"].items())
    weights = ", ".join(f"{form} {value:g} MB" for form, value in found["weights_mb"].items())
    print(f"{name}: {found['parameters']:,} parameters; GMACs published {found['gmacs_published']:g}, {counts}")
    print(f"  weights {weights}")
    for form, values in found["time"].items():
        print(f"  {form:<34} median {values['median_ms']:>9.2f} ms   best {values['best_ms']:>9.2f}   p95 {values['p95_ms']:>9.2f}")
    for what, forms in found.get("savings", {}).items():
        print(f"    {what:<56} {forms['plain']['best_ms']:>9.2f} -> {forms['prepared']['best_ms']:>9.2f} ms (best)")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    parser.add_argument("--savings", action="store_true", help="also each saving alone")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    report: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "batch": options.batch,
        "device": options.device,
    }
    report |= {"dtype": options.dtype, "networks": {}}
    for name in options.networks:
        # The published precision of these two, and of keypoints everywhere.
        own = torch.float32 if name in ("lmdm", "stitch_network") else dtype
        report["networks"][name] = measure(name, options, device, own)
        show(name, report["networks"][name])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
