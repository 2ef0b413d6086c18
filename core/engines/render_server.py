"""Draws the frames of all sessions of one GPU, in shared batches.

A batch is warp and decoder as one recorded call of its size, put back per canvas, then copied to pinned memory on a stream of its own while
the next batch is drawn. Every batch is full (20 frames are a batch of 20, 13 of 10, 2 and 1), so that nothing is drawn twice. The networks
may round differently at another batch size: on a GPU a frame may differ from itself by a step of 255 when other sessions are about.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.atomic_components.pose import Array
from core.atomic_components.putback import DeviceCanvas
from core.optimization.cuda_graphs import RecordedCall
from core.optimization.gathering import IDLE_S, Gatherer, Pending
from core.types import Frame

log = logging.getLogger(__name__)

SIZES = (1, 2, 5, 10, 20)
"""Batches that are recorded."""
BATCHES_UNDER_WAY = 3
"""One being drawn, one being copied, one being handed out."""


@dataclass(frozen=True, eq=False)
class FrameRequest:
    """One frame to draw. source: what `from_source` takes, of one picture: a named tuple of tensors with `kp` among them.

    kp_driving: (1, 21, 3) float32. Source and canvas are ready on the device: nothing that computes them is still under way.
    """

    source: Any
    kp_driving: Array
    canvas: DeviceCanvas


class _Part(NamedTuple):
    """Pictures of a batch that have one canvas. ready: set when they have arrived on the machine; None: they are there."""

    numbers: list[int]
    pictures: Tensor
    ready: torch.cuda.Event | None


class RenderServer:
    """Thread-safe. from_source: (source of n pictures, keypoints (n, 21, 3)) -> (n, 256, 64, 64); decode: -> (n, 3, 512, 512).

    device: a CPU too, where calls are made without being recorded. sizes: of batches; 1 is among them.
    """

    def __init__(
        self,
        from_source: Callable[[Any, Tensor], Tensor],
        decode: Callable[[Tensor], Tensor],
        device: torch.device,
        sizes: Sequence[int] = SIZES,
    ) -> None:
        self._from_source, self._decode, self._device = from_source, decode, device
        self._sizes = sorted({1, *sizes})
        self._calls: dict[int, RecordedCall[Tensor]] = {}
        # Whose source lies in each place of a recorded call. It keeps the last sources in memory, at most one per place.
        self._placed: dict[int, list[Any]] = {}
        self._on_gpu = device.type == "cuda"
        self._draw_stream = torch.cuda.Stream(device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._copy_stream = torch.cuda.Stream(device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._room = threading.BoundedSemaphore(BATCHES_UNDER_WAY)
        self._drawn: queue.SimpleQueue[tuple[list[Pending[FrameRequest]], list[_Part]]] = queue.SimpleQueue()
        self._delivery = threading.Lock()
        self._deliverer: threading.Thread | None = None
        self._recording = threading.Lock()
        self._gatherer: Gatherer[FrameRequest] = Gatherer(self._draw, self._how_many)

    def submit(self, request: FrameRequest, client: Hashable, due_s: float) -> Future[Frame]:
        """-> (height, width, 3) uint8 RGB. client: the session, due_s: both as in `Gatherer.submit`."""
        return self._gatherer.submit(request, client, due_s)

    def warmup(self, source: Any) -> None:
        """Records every size. source: of any picture. Where the device has no room for a size, the smaller ones do."""
        for size in list(self._sizes):
            try:
                self._recorded(size, source)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise

    def close(self) -> None:
        """Ends the server. Callers that wait for a frame that is not being drawn get Cancelled, and so do later ones."""
        self._gatherer.close()

    def _how_many(self, n: int) -> int:
        return max(size for size in self._sizes if size <= n)

    def _recorded(self, size: int, source: Any) -> RecordedCall[Tensor]:
        """Raises torch.OutOfMemoryError where the device has no room for a batch of so many; none of that size is tried again."""

        def render(*inputs: Tensor) -> Tensor:
            return self._decode(self._from_source(type(source)(*inputs[:-1]), inputs[-1]))

        with self._recording:
            if size not in self._calls:
                examples = [part.expand(size, *part.shape[1:]).contiguous() for part in source]
                points = source.kp.expand(size, -1, -1).contiguous()
                pool = next(iter(self._calls.values())).pool if self._calls else None
                try:
                    self._calls[size] = RecordedCall(render, [*examples, points], pool)
                except torch.OutOfMemoryError:
                    if size > 1:
                        log.warning("frames are drawn fewer than %d at a time: the GPU has no room for more", size)
                        self._sizes = [s for s in self._sizes if s < size]
                        torch.cuda.empty_cache()
                    raise
                self._placed[size] = [None] * size
            return self._calls[size]

    def _draw(self, batch: list[Pending[FrameRequest]]) -> None:
        requests = [pending.item for pending in batch]
        call = self._recorded(len(batch), requests[0].source)
        self._start_deliverer()  # before anything is drawn: where no thread can be had, the batch fails
        self._room.acquire()
        try:
            with torch.inference_mode(), torch.cuda.stream(self._draw_stream):
                self._place([request.source for request in requests], call)
                points = torch.from_numpy(np.concatenate([request.kp_driving for request in requests]))
                call.inputs[-1].copy_(points.pin_memory() if self._on_gpu else points, non_blocking=True)
                parts = self._put_back(call.replay(), requests)
        except BaseException:
            self._room.release()
            raise
        self._drawn.put((batch, parts))
        self._start_deliverer()  # the first may have ended meanwhile

    def _place(self, sources: list[Any], call: RecordedCall[Tensor]) -> None:
        """Copies each source to its place among the inputs, unless it lies there from the last batch of this size."""
        placed = self._placed[len(sources)]
        for i, source in enumerate(sources):
            if placed[i] is not source:
                placed[i] = None  # a copy that fails leaves no whole source
                for slot, part in zip(call.inputs[:-1], source, strict=True):
                    slot[i : i + 1].copy_(part)
                placed[i] = source

    def _put_back(self, renders: Tensor, requests: list[FrameRequest]) -> list[_Part]:
        by_canvas: dict[DeviceCanvas, list[int]] = {}
        for i, request in enumerate(requests):
            by_canvas.setdefault(request.canvas, []).append(i)
        parts = []
        for canvas, numbers in by_canvas.items():
            adjacent = numbers[-1] - numbers[0] + 1 == len(numbers)
            chosen = renders[numbers[0] : numbers[-1] + 1] if adjacent else torch.stack([renders[i] for i in numbers])
            parts.append(_Part(numbers, *self._copied(canvas.put(chosen))))
        return parts

    def _copied(self, pictures: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        """The pictures on their way to the machine, beside the next batch, and what tells that they have arrived."""
        if self._copy_stream is None:
            return pictures, None
        pinned = torch.empty(pictures.shape, dtype=pictures.dtype, pin_memory=True)  # PyTorch keeps pinned memory for the next time
        self._copy_stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._copy_stream):
            pinned.copy_(pictures, non_blocking=True)
            pictures.record_stream(self._copy_stream)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        return pinned, ready

    # ---- handing out

    def _start_deliverer(self) -> None:
        with self._delivery:
            if self._deliverer is None:
                deliverer = threading.Thread(target=self._deliver, name="pictures", daemon=True)
                deliverer.start()
                self._deliverer = deliverer

    def _deliver(self) -> None:
        """Hands out what was drawn. Ends after a while without work."""
        while True:
            try:
                batch, parts = self._drawn.get(timeout=IDLE_S)
            except queue.Empty:
                with self._delivery:
                    if self._drawn.empty():
                        self._deliverer = None
                        return
                continue
            try:
                for part in parts:
                    if part.ready is not None:
                        part.ready.synchronize()
                    for i, picture in zip(part.numbers, part.pictures.numpy(), strict=True):
                        batch[i].future.set_result(picture.copy())
            except BaseException as error:  # a fault on the device shows here first
                for pending in batch:
                    if not pending.future.done():
                        pending.future.set_exception(error)
            finally:
                self._room.release()
            del batch, parts  # nothing of it is kept while the thread waits for the next one
