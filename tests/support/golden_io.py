"""Reference numbers made with the published model's own code, and how ours are compared with them.

A golden is `<name>_seed<seed>.npz`: arrays by name, and in `meta` what went in. Large arrays are stored as samples: `key__pos` (flat
positions, C order), `key__val`, `key__shape` and `key__stats` (mean, std, min, max of the whole array).

`DITTO_GOLDENS_DIR` and `DITTO_GOLDENS_SEED` choose other folders and seeds; the repository's own copy has seed 7.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.support.paths import ROOT

SEED = int(os.environ.get("DITTO_GOLDENS_SEED") or "7")
HERE = ROOT / "tests" / "goldens" / "ditto"
FOLDER = Path(os.environ.get("DITTO_GOLDENS_DIR") or HERE)
MANIFEST = HERE / "checkpoint_manifest.json"
"""Keys and shapes of the published checkpoints; the same for every seed."""


def load(name: str, seed: int = SEED) -> Any:
    """The arrays of one golden. What is not there fails: a test without its numbers must not pass for one that holds."""
    path = FOLDER / f"{name}_seed{seed}.npz"
    assert path.is_file(), f"There is no golden {path}: DITTO_GOLDENS_DIR and DITTO_GOLDENS_SEED say which folder and seed are read."
    return np.load(path)


def meta(golden: Any) -> dict[str, Any]:
    """What a golden says about its inputs."""
    found: dict[str, Any] = json.loads(str(golden["meta"])) if "meta" in golden.files else {}
    return found


def same_bytes(golden: Any, key: str, array: NDArray[Any]) -> bool:
    """Whether an array has the digest that the golden holds."""
    return hashlib.sha256(array.tobytes()).digest() == bytes(golden[key])


def errors(golden: Any, key: str, value: ArrayLike) -> tuple[float, float]:
    """(max, mean) of |difference| on the stored values; checks the shape, and mean and std where only samples are stored."""
    value = np.asarray(value)
    if key in golden.files:
        want = golden[key]
        assert value.shape == want.shape, (key, value.shape, want.shape)
        apart = np.abs(value.astype(np.float64) - want.astype(np.float64))
        assert np.isfinite(apart).all(), f"{key} has values that are not finite"  # a NaN must not slip through a comparison
        return (float(apart.max()), float(apart.mean())) if value.size else (0.0, 0.0)
    assert tuple(value.shape) == tuple(golden[key + "__shape"]), (key, value.shape, golden[key + "__shape"])
    apart = np.abs(value.reshape(-1)[golden[key + "__pos"]].astype(np.float64) - golden[key + "__val"].astype(np.float64))
    assert np.isfinite(apart).all(), f"{key} has values that are not finite"
    mean, std = golden[key + "__stats"][:2]
    whole = max(abs(value.mean(dtype=np.float64) - mean), abs(value.std(dtype=np.float64) - std))
    return float(max(apart.max(), whole)), float(apart.mean())


def max_error(golden: Any, key: str, value: ArrayLike) -> float:
    return errors(golden, key, value)[0]


def check(golden: Any, key: str, value: ArrayLike, tolerance: float) -> float:
    """Fails, with the errors, where `value` is farther than `tolerance` from the golden; returns the max error."""
    worst, mean = errors(golden, key, value)
    # Read with `pytest -rP`.
    print(f"{key}: max error {worst:.3g}, mean error {mean:.3g} (tolerance {tolerance:.3g})")  # noqa: T201
    assert worst <= tolerance, f"{key}: max error {worst:.3g}, mean {mean:.3g}, tolerance {tolerance:.3g}"
    return worst
