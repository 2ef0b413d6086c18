"""A few arrays that are computed once and used again, within a bound of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


class KeptArrays:
    """Arrays by what decides their content; those used least recently go first. One above the limit is not kept. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._arrays: OrderedDict[Hashable, Array] = OrderedDict()
        self._lock = threading.Lock()
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def get(self, key: Hashable) -> Array | None:
        """Not to be written to: others get the same array."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key: Hashable, array: Array) -> None:
        """array: belongs to this object from here on."""
        if array.nbytes > self._limit_bytes:
            return
        with self._lock:
            before = self._arrays.pop(key, None)
            self._nbytes += array.nbytes - (0 if before is None else before.nbytes)
            self._arrays[key] = array
            while self._nbytes > self._limit_bytes:
                self._nbytes -= self._arrays.popitem(last=False)[1].nbytes
