"""Runs the motion diffusion for all sessions of one GPU, in shared batches."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch

from core.atomic_components.audio2motion import MotionSampler
from core.atomic_components.pose import Array
from core.errors import Cancelled
from core.optimization.cuda_graphs import RecordedCall
from core.optimization.gathering import Gatherer, Pending

SIZES = (1, 2, 4, 8)
"""Windows at once."""
GATHER_S = 0.004
"""A window is worth waiting for others a little; longer than a window itself takes would be lost."""
LOOPS = 4
"""Numbers of steps whose loops are kept, recorded: each takes memory on the GPU, and who asks for a video may choose any number."""
RECORDED_STEPS = 100
"""Longer loops are called as they are: a recording of hundreds of thousands of launches would take more than it saves."""
Arguments = tuple[Array, Array, Array, Array]
"""The arguments of a MotionSampler: the frame before the window, the condition, the starting noise, the step noises."""


class MotionServer:
    """MotionSamplers by number of steps. Thread-safe.

    make: number of steps -> the loop as a function of tensors (`core.models.prepared.lmdm.LMDMSampler`), on `device`. device: a CPU too,
    where calls are made without being recorded.
    """

    def __init__(self, make: Callable[[int], Callable[..., torch.Tensor]], device: torch.device) -> None:
        self._make, self._device = make, device
        self._loops: OrderedDict[int, _Loop] = OrderedDict()
        self._clients = itertools.count()
        self._closed = False
        self._lock = threading.Lock()

    def sampler(self, steps: int) -> MotionSampler:
        """The sampler of one session. Raises OptionError for a number of steps out of 1..1000; its calls raise Cancelled after `close`."""
        self._loop(steps)
        client = next(self._clients)

        def sample(cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
            window = cond_frame, cond, x_t, noises
            motion: Array = self._loop(steps).gatherer.submit(window, client, time.monotonic()).result()
            return motion

        return sample

    def close(self) -> None:
        """Ends the server. Callers that wait for a window that is not being computed get Cancelled, and so do later ones."""
        with self._lock:
            self._closed = True
            loops = list(self._loops.values())
        for loop in loops:
            loop.gatherer.close()

    def _loop(self, steps: int) -> _Loop:
        """That of the last few numbers of steps; one that was dropped serves those who wait for it, and goes."""
        with self._lock:
            if self._closed:
                raise Cancelled("The engine was closed.")
            if steps not in self._loops:
                self._loops[steps] = _Loop(self._make(steps), self._device, steps <= RECORDED_STEPS)
                while len(self._loops) > LOOPS:
                    self._loops.popitem(last=False)
            self._loops.move_to_end(steps)
            return self._loops[steps]


class _Loop:
    """The sampling loop of one number of steps, one recorded call per batch size."""

    def __init__(self, call: Callable[..., torch.Tensor], device: torch.device, record: bool) -> None:
        self._call, self._device, self._record = call, device, record
        self._recorded: dict[int, RecordedCall] = {}
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # what the loop was made of was computed on another stream than it runs on
        # Short kernels, waited for: they go before those of the pictures.
        self._stream = torch.cuda.Stream(device, priority=-1) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.gatherer: Gatherer[Arguments] = Gatherer(self._serve, lambda n: max(size for size in SIZES if size <= n), GATHER_S)

    def _serve(self, batch: list[Pending[Arguments]]) -> None:
        given = [
            torch.from_numpy(np.ascontiguousarray(np.concatenate([pending.item[i] for pending in batch], axis=1 if i == 3 else 0)))
            for i in range(4)
        ]
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            if self._record:
                call = self._recorded.get(len(batch))
                if call is None:
                    call = self._recorded[len(batch)] = RecordedCall(self._call, [tensor.to(self._device) for tensor in given])
                for slot, tensor in zip(call.inputs, given, strict=True):
                    slot.copy_(tensor)
                out = call.replay()
            else:
                out = self._call(*(tensor.to(self._device) for tensor in given))
            motion = out.float().cpu().numpy()
        for i, pending in enumerate(batch):
            pending.future.set_result(motion[i : i + 1].copy())
