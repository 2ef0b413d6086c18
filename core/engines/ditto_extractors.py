"""Ditto's two networks that look at a source, recorded on a GPU for the few shapes that they are called with: each, and both in one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from core.models import MotionInfo
from core.optimization.cuda_graphs import RecordedCall

log = logging.getLogger(__name__)

MAX_RECORDINGS = 12
"""A photo is one crop, a video comes in batches of up to 4."""


class RecordedExtractors:
    """The networks as they are, called by their names; results belong to the caller. Thread-safe.

    appearance, motion: (n, 3, 256, 256) on `device` -> (n, 32, 16, 64, 64), MotionInfo. device: a CPU too, where calls are made without
    being recorded; so they are on a GPU that has no room for the recording.
    """

    def __init__(self, appearance: Callable[[Tensor], Tensor], motion: Callable[[Tensor], MotionInfo], device: torch.device) -> None:
        self._appearance, self._motion = appearance, motion
        self._calls: dict[tuple[str, tuple[int, ...]], RecordedCall[tuple[Tensor, ...]] | None] = {}
        self._lock = threading.Lock()  # results lie in memory that all recordings share, until they are copied
        self._pool: Any = None
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def appearance(self, image: Tensor) -> Tensor:
        return self._run("appearance", lambda given: (self._appearance(given),), image)[0]

    def motion(self, image: Tensor) -> MotionInfo:
        return MotionInfo(*self._run("motion", lambda given: tuple(self._motion(given)), image))

    def both(self, image: Tensor) -> tuple[Tensor, MotionInfo]:
        feature, *info = self._run("both", lambda given: (self._appearance(given), *self._motion(given)), image)
        return feature, MotionInfo(*info)

    def _run(self, name: str, call: Callable[[Tensor], tuple[Tensor, ...]], image: Tensor) -> tuple[Tensor, ...]:
        with self._lock:
            recorded = self._recorded(name, call, image)
            if recorded is None:
                return call(image)
            if self._stream is None:
                return self._replayed(recorded, image)
            callers = torch.cuda.current_stream(image.device)
            self._stream.wait_stream(callers)
            with torch.cuda.stream(self._stream):  # one after the other, whatever stream the callers are on
                results = self._replayed(recorded, image)
                image.record_stream(self._stream)
            callers.wait_stream(self._stream)
            for result in results:
                result.record_stream(callers)
            return results

    def _replayed(self, recorded: RecordedCall[tuple[Tensor, ...]], image: Tensor) -> tuple[Tensor, ...]:
        recorded.inputs[0].copy_(image)
        return tuple(result.clone() for result in recorded.replay())

    def _recorded(
        self, name: str, call: Callable[[Tensor], tuple[Tensor, ...]], image: Tensor
    ) -> RecordedCall[tuple[Tensor, ...]] | None:
        key = name, tuple(image.shape)
        if key not in self._calls and len(self._calls) < MAX_RECORDINGS:
            try:
                made = self._calls[key] = RecordedCall(call, [image], self._pool)
                self._pool = made.pool
            except torch.OutOfMemoryError:
                log.warning("ditto's %s is not recorded as a CUDA graph: the GPU has no room for it", name)
                self._calls[key] = None
        return self._calls.get(key)
