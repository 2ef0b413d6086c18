"""The canonical face of the landmark model."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.aux_models import canonical_face as module
from core.aux_models.canonical_face import canonical_face
from core.aux_models.face_finder import FaceFinder
from core.errors import EngineUnavailable
from core.types import Photo


def test_its_points_are_those_of_the_mesh(portrait: Photo, finder: FaceFinder) -> None:
    seen = finder.find(portrait.pixels)[0].points[:, :2].astype(np.float64)
    points = canonical_face()[:, :2].astype(np.float64)
    assert points.shape == seen.shape
    fitted = np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), seen, rcond=None)[0]
    apart = np.linalg.norm(np.column_stack([points, np.ones(len(points))]) @ fitted - seen, axis=1)
    eyes = np.linalg.norm(seen[33] - seen[263])
    assert np.median(apart) < 0.05 * eyes
    assert apart.max() < 0.25 * eyes


def test_a_damaged_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"", b"\x0a\x05abc", b"\x0f"):
        path = tmp_path / "face_landmarker.task"
        with zipfile.ZipFile(path, "w") as task:
            task.writestr("geometry_pipeline_metadata_landmarks.binarypb", content)
        monkeypatch.setattr(module, "MODEL_PATH", path)
        canonical_face.cache_clear()
        try:
            with pytest.raises(EngineUnavailable, match="damaged"):
                canonical_face()
        finally:
            canonical_face.cache_clear()
