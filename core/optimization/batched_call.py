"""Computes a function for several callers at once: what they ask for is gathered, joined to a batch, and computed by one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from core.optimization.cuda_graphs import RecordedCall
from core.optimization.gathering import Gatherer, Pending

Array = NDArray[np.float32]
Arguments = Sequence[Array]


class BatchedCall:
    """A function of arrays, computed on a device in batches of a few sizes, of which each is recorded once. Thread-safe.

    call: of tensors on `device`, joined along their batch axes, to one tensor with the batch first. sizes: of batches; 1 is among them.
    gather_s: how long the first of a batch waits for others. axes: the batch axis of each argument. record: False where recording would
    take more than it saves. device: a CPU too, where calls are made without being recorded.
    """

    def __init__(
        self,
        call: Callable[..., torch.Tensor],
        device: torch.device,
        sizes: Sequence[int],
        gather_s: float,
        axes: Sequence[int] = (0,),
        record: bool = True,
    ) -> None:
        self._call, self._device, self._axes, self._record = call, device, tuple(axes), record
        self._sizes = tuple(sizes)
        self._recorded: dict[int, RecordedCall[torch.Tensor]] = {}
        self._computing = threading.Lock()
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # what the call was made of was computed on another stream than it runs on
        # Short kernels, waited for: they go before those of the pictures.
        self._stream = torch.cuda.Stream(device, priority=-1) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._gatherer: Gatherer[Arguments] = Gatherer(self._serve, lambda n: max(size for size in sizes if size <= n), gather_s)

    def __call__(self, arguments: Arguments, client: Hashable) -> Array:
        """arguments: of one item, each with a batch axis of 1. client: as in `Gatherer.submit`. -> (1, ...) float32. Waits.

        Raises Cancelled after `close`, and what the call raises.
        """
        result: Array = self._gatherer.submit(arguments, client, time.monotonic()).result()
        return result

    def warmup(self, arguments: Arguments) -> None:
        """Computes an item in every size, so that memory is taken, kernels are chosen and calls are recorded now."""
        for size in self._sizes:
            self._computed([arguments] * size)

    def close(self) -> None:
        """Callers that wait for what is not being computed get Cancelled, and so do later ones."""
        self._gatherer.close()

    def _serve(self, batch: list[Pending[Arguments]]) -> None:
        results = self._computed([pending.item for pending in batch])
        for i, pending in enumerate(batch):
            pending.future.set_result(results[i : i + 1].copy())

    def _computed(self, items: Sequence[Arguments]) -> Array:
        given = [
            torch.from_numpy(np.ascontiguousarray(np.concatenate([item[i] for item in items], axis=axis)))
            for i, axis in enumerate(self._axes)
        ]  # fmt: skip
        with self._computing, torch.inference_mode(), torch.cuda.stream(self._stream):
            if self._record:
                call = self._recorded.get(len(items))
                if call is None:
                    pool = next(iter(self._recorded.values())).pool if self._recorded else None
                    call = self._recorded[len(items)] = RecordedCall(self._call, [tensor.to(self._device) for tensor in given], pool)
                for slot, tensor in zip(call.inputs, given, strict=True):
                    slot.copy_(tensor)
                out = call.replay()
            else:
                out = self._call(*(tensor.to(self._device) for tensor in given))
            results: Array = out.float().cpu().numpy()
        return results
