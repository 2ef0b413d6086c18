"""Records calls on a GPU as CUDA graphs, so that one launch replaces hundreds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
log = logging.getLogger(__name__)

WARM_UP_CALLS = 2
_recording = threading.Lock()
"""Two recordings at once would each find the other's memory in their pool."""


class RecordedCall(Generic[T]):
    """A function of tensors at fixed shapes. Fill `inputs`, `replay`, use its result before the next replay of any call of the same pool.

    call: from so many tensors to one, or to a tuple of some; it must not wait for the device nor look at values. On a CPU nothing is
    recorded, and `replay` calls it; so it does on a GPU that cannot record it, which is logged. pool: of another RecordedCall whose memory
    this one may use too.
    Used from one thread, on one stream, which `replay` is given by being called within `torch.cuda.stream`. Raises
    torch.OutOfMemoryError where the device has no room.
    """

    def __init__(self, call: Callable[..., T], examples: Sequence[Tensor], pool: Any = None) -> None:
        self.inputs = [example.clone() for example in examples]
        self.pool = pool
        self._call = call
        self._graph: torch.cuda.CUDAGraph | None = None
        self._output: T | None = None
        if self.inputs[0].device.type == "cuda":
            self._record(self.inputs[0].device)

    def replay(self) -> T:
        if self._graph is None or self._output is None:
            with torch.inference_mode():
                return self._call(*self.inputs)
        self._graph.replay()
        return self._output

    def _record(self, device: torch.device) -> None:
        with _recording, torch.inference_mode(), torch.cuda.device(device):
            aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP_CALLS):  # kernels are compiled and chosen now: neither can be recorded
                    self._call(*self.inputs)
            aside.synchronize()
            graph = torch.cuda.CUDAGraph()
            try:
                # Other threads go on using the device meanwhile.
                with torch.cuda.graph(graph, pool=self.pool, stream=aside, capture_error_mode="thread_local"):
                    output = self._call(*self.inputs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                log.warning("a call runs without a CUDA graph, which is slower: %s", str(error).partition("\n")[0])
            else:
                self._graph, self._output, self.pool = graph, output, graph.pool()
