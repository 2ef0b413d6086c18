"""The passes between convolutions: Triton kernels on a GPU that runs them, PyTorch elsewhere.

Pictures are (n, [d,] h, w, channels), dense, any float dtype; keypoints (n, kp, 3) float32. Sums are made in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.modules.dense_motion import KP_VARIANCE, deform, identity_grid, sample_volume, sparse_motions
from core.models.modules.shapes import unflatten
from core.models.prepared.warp import separable_spots

NORM_EPS = 1e-5

enabled_devices: set[torch.device] = set()
"""GPUs on which the kernels were found to give what PyTorch gives (`core.models.fused.kernel_check`)."""
_told: ContextVar[Any] = ContextVar("told", default=...)


@contextmanager
def using(kernels: Any) -> Iterator[None]:
    """Within it, this thread's passes run on that module of kernels, whatever the device; None: on PyTorch."""
    token = _told.set(kernels)
    try:
        yield
    finally:
        _told.reset(token)


def on_kernels(x: Tensor) -> Any:
    """The module of kernels where the pass over `x` runs on them; else None, and PyTorch computes the same: so where torch.compile traces
    it, which makes kernels of its own.
    """
    if torch.compiler.is_compiling():
        return None
    told: Any = _told.get()
    if told is not ...:
        return told
    if not x.is_cuda or x.device not in enabled_devices:
        return None
    from core.models.fused import kernels

    return kernels


def stack_order(features: int, keypoints: int) -> list[int]:
    """Where each channel of `motion_stack` lies in the published stack, which has its spot (the first: none) and features per motion."""
    of_features = [m * (features + 1) + 1 + f for m in range(keypoints + 1) for f in range(features)]
    return of_features + [m * (features + 1) for m in range(1, keypoints + 1)]


def motion_stack(compressed: Tensor, kp_source: Tensor, kp_driving: Tensor, width: int) -> Tensor:
    """What the hourglass sees: the c features as they are and moved along with each keypoint, then the keypoints' spots.

    compressed: (n, d, h, w, c) -> (n, d, h, w, width), filled up with zeros.
    """
    n, d, h, w, c = compressed.shape
    k = kp_source.shape[1]
    kernels = on_kernels(compressed)
    if kernels is None:
        volume = compressed.permute(0, 4, 1, 2, 3)
        spots = (separable_spots(kp_driving, volume) - separable_spots(kp_source, volume)).to(compressed.dtype)
        moved = deform(volume, sparse_motions(identity_grid(volume), kp_source, kp_driving))
        stacked = torch.cat([moved.flatten(1, 2), spots], dim=1)
        return F.pad(stacked.permute(0, 2, 3, 4, 1), (0, width - stacked.shape[1])).contiguous()
    out = compressed.new_empty((n, d, h, w, width))
    rows = 16
    kernels.motion_stack_kernel[(-(-d * h * w // rows), n)](
        compressed, kp_source, kp_driving, out, d, h, w, c, k, width, 0.5 / KP_VARIANCE, rows, power_of_two(k + 1), num_warps=4
    )
    return out


def flow_sample(parts: Tensor, bias: Tensor, taps: int, kp_source: Tensor, kp_driving: Tensor, feature: Tensor) -> Tensor:
    """From the mask's convolution, slice by slice, to the source's volume read along the flow.

    parts: (n, d, h, w, taps * (kp + 1) or more): what slice z gives to slice z - tap + taps // 2 of each motion's mask. bias: (kp + 1,).
    feature: (n, d, h, w, c) -> (n, h, w, d * c).
    """
    n, d, h, w, c = feature.shape
    k = kp_source.shape[1]
    kernels = on_kernels(parts)
    if kernels is None:
        used = unflatten(parts[..., : taps * (k + 1)].float(), -1, (taps, k + 1))
        padded = F.pad(used, (0, 0, 0, 0, 0, 0, 0, 0, taps // 2, taps // 2))
        logits = sum((padded[:, t : t + d, :, :, t] for t in range(taps)), bias.float())
        mask = F.softmax(logits, dim=-1)
        grid = identity_grid(feature.permute(0, 4, 1, 2, 3))
        flow = torch.einsum("ndhwk,nkc->ndhwc", mask[..., 1:], kp_source - kp_driving) + grid
        warped = sample_volume(feature.permute(0, 4, 1, 2, 3), flow)
        return warped.permute(0, 3, 4, 2, 1).flatten(3)
    out = feature.new_empty((n, h, w, d * c))
    rows = 64
    kernels.flow_sample_kernel[(-(-d * h * w // rows), n)](
        parts, bias, kp_source, kp_driving, feature, out,
        d, h, w, c, k, taps, parts.shape[-1], rows, power_of_two(k + 1), power_of_two(c), num_warps=4,
    )  # fmt: skip
    return out


def activate(x: Tensor, bias: Tensor, slope: float, *, shuffle: bool = False, pool: bool = False, skip: Tensor | None = None) -> Tensor:
    """Bias and (leaky) rectifier. x: (..., h, w, c).

    shuffle: c is 2x2 pixels of c / 4 channels, which become (..., 2h, 2w, c / 4). pool: the mean of 2x2 pixels afterwards.
    skip: (..., h', w', s) of the result's size, laid behind its channels.
    """
    h, w = x.shape[-3] * (2 if shuffle else 1), x.shape[-2] * (2 if shuffle else 1)
    c = x.shape[-1] // (4 if shuffle else 1)
    if pool:
        h, w = h // 2, w // 2
    kernels = on_kernels(x)
    if kernels is None:
        if shuffle:
            x = unshuffled(x, 2)
        x = x + bias.to(x.dtype)
        x = F.leaky_relu(x, slope) if slope else F.relu(x)
        if pool:
            x = unflatten(unflatten(x, -3, (h, 2)), -2, (w, 2)).mean(dim=(-4, -2))
        return x if skip is None else torch.cat([x, skip], dim=-1)
    beside = 0 if skip is None else skip.shape[-1]
    out = x.new_empty((*x.shape[:-3], h, w, c + beside))
    rows = out.numel() // (c + beside)
    tile, channels = 16, min(128, power_of_two(c + beside))
    kernels.activate_kernel[(-(-rows // tile), -(-(c + beside) // channels))](
        x, bias, x if skip is None else skip, out, rows, h, w, c, beside, float(slope), shuffle, pool, tile, channels, num_warps=4
    )
    return out


def unshuffled(x: Tensor, times: int) -> Tensor:
    """(..., h, w, times * times * c) -> (..., times * h, times * w, c)."""
    x = unflatten(x, -1, (times, times, -1))
    return x.transpose(-4, -3).flatten(-5, -4).flatten(-3, -2)


def spread(x: Tensor, bias: Tensor, groups: int, times: int) -> Tensor:
    """Bias and rectifier of maps that repeat every pixel `times` (1, 2 or 4), from their distinct values.

    x: (n, h, w, v * v * groups * c), v = min(times, 3) -> (groups, n, times * h, times * w, c).
    """
    values = min(times, 3)
    n, h, w = x.shape[0], x.shape[1] * times, x.shape[2] * times
    c = x.shape[-1] // (values * values * groups)
    kernels = on_kernels(x)
    if kernels is None:
        distinct = F.relu(unshuffled(x, values) + bias.to(x.dtype))
        if times > values:
            index = torch.tensor([0, 1, 1, 2], device=x.device)
            lines = (torch.arange(h // times, device=x.device)[:, None] * values + index).flatten()
            columns = (torch.arange(w // times, device=x.device)[:, None] * values + index).flatten()
            distinct = distinct[:, lines][:, :, columns]
        return unflatten(distinct, -1, (groups, c)).permute(3, 0, 1, 2, 4).contiguous()
    out = x.new_empty((groups, n, h, w, c))
    rows, tile = n * h * w, 16
    kernels.spread_kernel[(-(-rows // tile), groups)](
        x, bias, out, rows, h, w, groups, c, times, values, tile, power_of_two(c), num_warps=4
    )  # fmt: skip
    return out


def added(*terms: Tensor, bias: Tensor | None = None, slope: float = 0.0, stats: bool = True) -> tuple[Tensor, Tensor]:
    """(sum, statistics) of one to three pictures (n, h, w, c). bias: added too, and then the leaky rectifier of `slope`.

    statistics: (n, 2, c) float32, mean and 1 / standard deviation of every channel; empty where not asked for.
    """
    n, h, w, c = terms[0].shape
    kernels = on_kernels(terms[0])
    if kernels is None:
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        if bias is not None:
            total = F.leaky_relu(total + bias.to(total.dtype), slope)
        if not stats:
            return total, total.new_empty(0)
        var, mean = torch.var_mean(total.float(), dim=(1, 2), correction=0)
        return total, torch.stack([mean, torch.rsqrt(var + NORM_EPS)], dim=1)
    store = len(terms) > 1 or bias is not None
    out = torch.empty_like(terms[0]) if store else terms[0]
    pixels, channels = h * w, min(64, power_of_two(c))
    splits = 64 if pixels % 4096 == 0 else 1
    tile = min(32, pixels & -pixels)
    partial = torch.empty((n, splits, 2, c), dtype=torch.float32, device=out.device)
    kernels.add_kernel[(n, splits, -(-c // channels))](
        terms[0], terms[min(1, len(terms) - 1)], terms[-1], out if bias is None else bias, out, partial,
        pixels, c, len(terms), float(slope), bias is not None, stats, store, splits, tile, channels, num_warps=4,
    )  # fmt: skip
    if not stats:
        return out, out.new_empty(0)
    found = torch.empty((n, 2, c), dtype=torch.float32, device=out.device)
    kernels.combine_kernel[(n, -(-c // channels))](partial, found, pixels, c, NORM_EPS, splits, channels, num_warps=4)
    return out, found


def modulate(x: Tensor, stats: Tensor, paint: Tensor, bias: Tensor, *, up: int = 1, slope: float | None = None) -> Tensor:
    """Instance norm of x, repeated `up` times in each direction, times gain; with a slope also plus offset, and the leaky rectifier.

    x: (n, h / up, w / up, c); stats: of x, as `added` gives them; paint: (n, h, w, c or more): gain, then offset, to which bias (as many
    as paint has channels) is still to be added.
    """
    n, c = x.shape[0], x.shape[-1]
    h, w = paint.shape[1:3]
    kernels = on_kernels(x)
    if kernels is None:
        if up > 1:
            x = x.repeat_interleave(up, dim=1).repeat_interleave(up, dim=2)
        mean, scale = (part[:, None, None] for part in stats.unbind(1))
        value = ((x - mean) * scale).to(x.dtype) * (paint[..., :c] + bias[:c].to(x.dtype))
        if slope is None:
            return value
        return F.leaky_relu(value + (paint[..., c : 2 * c] + bias[c : 2 * c].to(x.dtype)), slope)
    out = x.new_empty((n, h, w, c))
    rows, tile, channels = n * h * w, 16, min(128, power_of_two(c))
    kernels.modulate_kernel[(-(-rows // tile), -(-c // channels))](
        x, stats, paint, bias, out, rows,
        h, w, c, paint.shape[-1], up, slope is not None, 0.0 if slope is None else float(slope), tile, channels, num_warps=4,
    )  # fmt: skip
    return out


def power_of_two(n: int) -> int:
    """The smallest one that is not below n."""
    return 1 << (n - 1).bit_length()
