"""Runs the motion diffusion for all sessions of one GPU, in shared batches."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable

import torch

from core.atomic_components.audio2motion import MotionSampler
from core.atomic_components.pose import Array
from core.errors import Cancelled
from core.optimization.batched_call import Arguments, BatchedCall

SIZES = (1, 2, 4, 8)
"""Windows at once."""
GATHER_S = 0.004
"""A window is worth waiting for others a little; longer than a window itself takes would be lost."""
LOOPS = 4
"""Numbers of steps whose loops are kept, recorded: each takes memory on the GPU, and who asks for a video may choose any number."""
RECORDED_STEPS = 100
"""Longer loops are called as they are: a recording of hundreds of thousands of launches would take more than it saves."""
BATCH_AXES = (0, 0, 0, 1)
"""Of a MotionSampler's arguments: the frame before the window, the condition, the starting noise, the step noises."""


class MotionServer:
    """MotionSamplers by number of steps. Thread-safe.

    make: number of steps -> the loop as a function of tensors (`core.models.prepared.lmdm.LMDMSampler`), on `device`. device: a CPU too,
    where calls are made without being recorded.
    """

    def __init__(self, make: Callable[[int], Callable[..., torch.Tensor]], device: torch.device) -> None:
        self._make, self._device = make, device
        self._loops: OrderedDict[int, BatchedCall] = OrderedDict()
        self._clients = itertools.count()
        self._closed = False
        self._lock = threading.Lock()

    def sampler(self, steps: int) -> MotionSampler:
        """The sampler of one session. Raises OptionError for a number of steps out of 1..1000; its calls raise Cancelled after `close`."""
        self._loop(steps)
        client = next(self._clients)

        def sample(cond_frame: Array, cond: Array, x_t: Array, noises: Array) -> Array:
            return self._loop(steps)((cond_frame, cond, x_t, noises), client)

        return sample

    def warmup(self, steps: int, window: Arguments) -> None:
        """Records the loop for every number of windows at once: sessions that come together later do not wait for it."""
        self._loop(steps).warmup(window)

    def close(self) -> None:
        """Ends the server. Callers that wait for a window that is not being computed get Cancelled, and so do later ones."""
        with self._lock:
            self._closed = True
            loops = list(self._loops.values())
        for loop in loops:
            loop.close()

    def _loop(self, steps: int) -> BatchedCall:
        """That of the last few numbers of steps; one that was dropped serves those who wait for it, and goes."""
        with self._lock:
            if self._closed:
                raise Cancelled("The engine was closed.")
            if steps not in self._loops:
                loop = self._make(steps)
                self._loops[steps] = BatchedCall(loop, self._device, SIZES, GATHER_S, BATCH_AXES, record=steps <= RECORDED_STEPS)
                while len(self._loops) > LOOPS:
                    self._loops.popitem(last=False)
            self._loops.move_to_end(steps)
            return self._loops[steps]
