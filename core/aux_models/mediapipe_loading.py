"""Imports MediaPipe without what draws charts and what records sound: it is nobody's here, and takes longer than all the rest."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

_WHEN_USED = frozenset(
    {
        "mediapipe.tasks.python.audio",  # looks for PortAudio, which starts other programs
        "mediapipe.tasks.python.vision.drawing_styles",
        "mediapipe.tasks.python.vision.drawing_utils",  # matplotlib.pyplot
    }
)


class _Finder(MetaPathFinder):
    """Of these modules, to be executed when something in them is first asked for."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname in _WHEN_USED else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def import_mediapipe() -> Any:
    """The module. Raises ImportError, and OSError where a library is missing that it links."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("mediapipe")
    finally:
        sys.meta_path.remove(finder)
