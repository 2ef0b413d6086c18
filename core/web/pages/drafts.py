"""What visitors put into a page that they leave for the same page in another language."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

KEPT_S = 60.0
MAX_DRAFTS = 1000
"""Those of visitors beyond are forgotten, the oldest first."""


class Drafts:
    """By owner, each for the next page that is opened and for KEPT_S at most. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, owner: str, state: Mapping[str, Any]) -> None:
        with self._lock:
            self._kept.pop(owner, None)
            self._kept[owner] = time.monotonic(), state
            while len(self._kept) > MAX_DRAFTS:
                self._kept.popitem(last=False)

    def take(self, owner: str) -> Mapping[str, Any] | None:
        with self._lock:
            kept_s, state = self._kept.pop(owner, (0.0, None))
        return state if state is not None and time.monotonic() - kept_s < KEPT_S else None
