"""Sources and rows of motion for the tests of Ditto's stages, and what registers a source without networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from core.atomic_components.avatar_registrar import AvatarRegistrar
from core.atomic_components.pose import SourceMotion
from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FaceMesh
from core.aux_models.mesh_detector import MeshDetector
from tests.support.ditto_motion import make_source
from tests.support.ditto_source import Counted, Info, MeshAs203, small_volume
from tests.support.golden_io import SEED
from tests.support.synthetic import fill_state_dict, synthetic_input


@pytest.fixture(scope="module")
def photo() -> SourceMotion:
    return make_source(SEED, 1)


@pytest.fixture(scope="module")
def video() -> SourceMotion:
    return make_source(SEED, 7)


@pytest.fixture(scope="module")
def stitch() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    sizes = (126, 128, 128, 64, 65)
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        shapes |= {f"mlp.{2 * i}.weight": (b, a), f"mlp.{2 * i}.bias": (b,)}
    weights = fill_state_dict(shapes, SEED, "stitch_network")

    def run(kp_source: np.ndarray, kp_driving: np.ndarray) -> np.ndarray:
        assert kp_source.dtype == kp_driving.dtype == np.float32
        assert kp_source.shape == kp_driving.shape == (1, 21, 3)
        x = np.concatenate([kp_source.reshape(1, -1), kp_driving.reshape(1, -1)], axis=1)
        for i in range(0, 8, 2):
            x = x @ weights[f"mlp.{i}.weight"].T + weights[f"mlp.{i}.bias"]
            x = np.maximum(x, 0) if i < 6 else x
        out = kp_driving + x[:, :63].reshape(1, 21, 3)
        out[..., :2] += x[:, None, 63:]
        return out

    return run


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """120 rows of motion that wander."""
    scale = np.full(265, 0.05, np.float32)
    scale[1:199] = 3.0
    return np.cumsum(synthetic_input("drv", (120, 265), SEED, -1, 1) * scale, axis=0, dtype=np.float32) * np.float32(0.25)


@pytest.fixture
def appearance() -> Counted:
    return Counted(small_volume)


@pytest.fixture
def motion() -> Counted:
    return Counted(Info)


@pytest.fixture
def registrar(finder: FaceFinder, mesh: FaceMesh, appearance: Counted, motion: Counted) -> AvatarRegistrar:
    return AvatarRegistrar(appearance, motion, MeshDetector(finder), MeshAs203(mesh), mesh)
