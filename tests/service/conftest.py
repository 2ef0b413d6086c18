"""A studio as pages and servers have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engines.base import Engine
from core.settings import Settings
from core.studio import Studio


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    return Settings(output_dir=tmp_path / "outputs", cache_dir=tmp_path / "cache")


@pytest.fixture
def serving(own_settings: Settings, lite: Engine) -> Iterator[Studio]:
    """Results are kept."""
    studio = Studio(own_settings, {"lite": lambda: lite}, serving=True)
    yield studio
    studio.scheduler.close()
