"""Leaves out tests of integrations whose packages are not installed, in runs without the slow tests."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGES = {"livekit": "livekit", "webrtc": "aiortc"}
"""By folder: what its modules import. All their tests are slow. `./setup.sh test --all` installs it, so there a missing one is an error."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    package = PACKAGES.get(collection_path.name)
    if package is not None and config.option.markexpr == "not slow" and find_spec(package) is None:
        return True
    return None
