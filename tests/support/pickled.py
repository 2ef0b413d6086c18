"""What another process gets of a value that is sent to it."""

from __future__ import annotations

import pickle
from typing import Any


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - made here, by the same line
