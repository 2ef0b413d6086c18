"""Chooses the formulation in which a GPU convolves volumes fastest, by measuring once per process.

cuDNN 9.8 to 9.14, which PyTorch 2.9 and later bring, convolve volumes in half precision many times slower than before on some GPUs.
"""

from __future__ import annotations

import functools
import logging
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from core.models.modules.conv3d import WAYS, Way, arranged, convolved

log = logging.getLogger(__name__)

CHANNELS_IN, CHANNELS_OUT, SHAPE, KERNEL = 112, 64, (16, 64, 64), 3
"""The first block of the warp network's hourglass."""
WARM_UP_CALLS, TIMED_CALLS = 2, 5
WORTH = 1.25
"""The usual way is left only for one that is so many times as fast: a measurement that wavers must not change frames."""
SLOW = 2.0
"""Who is so many times slower than another way is worth a word to the user."""

Timer = Callable[[Callable[[], object]], float]
"""Milliseconds of a call on the device."""


@dataclass(frozen=True)
class Conv3dChoice:
    """way: the fastest. times_ms: of each way, one convolution. note: what to tell about it; "": nothing."""

    way: Way
    times_ms: dict[Way, float] = field(default_factory=dict)
    note: str = ""


def device_time_ms(call: Callable[[], object]) -> float:
    """The median of a few calls on the current GPU, after some that let cuDNN choose its kernels."""
    for _ in range(WARM_UP_CALLS):
        call()
    times: list[float] = []
    for _ in range(TIMED_CALLS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


@functools.cache
def fastest_conv3d(device: torch.device, dtype: torch.dtype, usual: Way) -> Conv3dChoice:
    """The choice for a device and precision; measured once. On a CPU, and in float32, the usual way."""
    if device.type != "cuda" or dtype == torch.float32:
        return Conv3dChoice(usual)
    with torch.cuda.device(device):
        return chosen(measured(device, dtype, device_time_ms), usual)


def measured(device: torch.device, dtype: torch.dtype, time_ms: Timer) -> dict[Way, float]:
    """Milliseconds of a representative convolution in each way; without those that the device cannot run."""
    x = torch.zeros(1, CHANNELS_IN, *SHAPE, device=device, dtype=dtype)
    weight = torch.zeros(CHANNELS_OUT, CHANNELS_IN, *(KERNEL,) * 3, device=device, dtype=dtype)
    times: dict[Way, float] = {}
    for way in WAYS:
        layout = torch.channels_last_3d if way in ("channels last", "slices") else torch.contiguous_format
        given, kernel = x.contiguous(memory_format=layout), arranged(weight, way)
        call = functools.partial(convolved, given, kernel, None, way, padding=KERNEL // 2)
        try:
            with torch.inference_mode():
                times[way] = time_ms(call)
        except RuntimeError as error:
            log.info("volumes cannot be convolved %s: %s", way, str(error).partition("\n")[0])
    return times


def chosen(times_ms: dict[Way, float], usual: Way) -> Conv3dChoice:
    """The fastest way, with what to tell about it. The usual one where nothing could be measured or nothing is much faster."""
    if not times_ms:
        return Conv3dChoice(usual)
    best = min(times_ms, key=lambda way: times_ms[way])
    usual_ms = times_ms.get(usual, float("inf"))
    if usual_ms <= WORTH * times_ms[best]:
        return Conv3dChoice(usual, times_ms)
    note = ""
    if usual_ms > SLOW * times_ms[best]:
        cudnn = _cudnn_version()
        than = f"{usual_ms / times_ms[best]:.0f} times as fast as usual" if usual in times_ms else "which is the fastest that it can"
        note = f"PyTorch {torch.__version__} with cuDNN {cudnn} is slow at convolving volumes; they run in another way ({best}), {than}"
        log.warning("ditto: %s. Another version of PyTorch may be faster.", note)
    return Conv3dChoice(best, times_ms, note)


def _cudnn_version() -> str:
    version = torch.backends.cudnn.version() or 0  # type: ignore[no-untyped-call]
    return f"{version // 10000}.{version // 100 % 100}" if version else "none"
