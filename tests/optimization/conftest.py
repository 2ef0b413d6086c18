"""What the tests of the caches share."""

from __future__ import annotations

import pytest

from core.aux_models.face_finder import FaceFinder


@pytest.fixture
def detections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every search for a face."""
    seen: list[str] = []
    for name in ("find", "largest_mesh"):
        whole = getattr(FaceFinder, name)
        monkeypatch.setattr(FaceFinder, name, lambda self, pixels, name=name, whole=whole: (seen.append(name), whole(self, pixels))[1])
    return seen
