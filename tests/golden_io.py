"""Golden numbers of Ditto's networks on synthetic weights, and comparing with them.

DITTO_GOLDENS_DIR: folder of `<name>_seed<seed>.npz` (default: the repository's own). DITTO_GOLDENS_SEED: which seed (default 7); weights
and inputs are derived from it. An array is stored whole as `key`, or sampled: `key__shape`, `key__pos` (flat, C order), `key__val`, and
`key__stats` (mean, std, min, max of the whole).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent / "goldens" / "ditto"
FOLDER = Path(os.environ.get("DITTO_GOLDENS_DIR", HERE))
SEED = int(os.environ.get("DITTO_GOLDENS_SEED", "7"))
MANIFEST = HERE / "checkpoint_manifest.json"
"""Keys and shapes of the published checkpoints; the same for every seed."""


def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of one golden. A missing file is a failure: these tests exist to be run."""
    with np.load(FOLDER / f"{name}_seed{SEED}.npz") as stored:
        return dict(stored)


def check(golden: dict[str, np.ndarray], key: str, value: Any, tolerance: float) -> None:
    """Fails with the maximum and the mean error if `value` is not the golden within `tolerance` (absolute)."""
    worst, mean = errors(golden, key, value)
    # Read with `pytest -rP`.
    print(f"{key}: max error {worst:.3g}, mean error {mean:.3g} (tolerance {tolerance:.3g})")  # noqa: T201
    assert worst <= tolerance, f"{key}: max error {worst:.3g}, mean error {mean:.3g}, tolerance {tolerance:.3g}"


def errors(golden: dict[str, np.ndarray], key: str, value: Any) -> tuple[float, float]:
    """(max, mean) of |difference| on the stored values; of a sampled array the whole's mean and std count into the maximum."""
    value = np.asarray(value, dtype=np.float64)
    if key in golden:
        assert value.shape == golden[key].shape, f"{key} has shape {value.shape}, not {golden[key].shape}"
        difference = np.abs(value - golden[key])
        extra: list[float] = []
    else:
        shape = tuple(golden[key + "__shape"])
        assert value.shape == shape, f"{key} has shape {value.shape}, not {shape}"
        difference = np.abs(value.reshape(-1)[golden[key + "__pos"]] - golden[key + "__val"])
        mean, std = golden[key + "__stats"][:2]
        extra = [abs(value.mean() - mean), abs(value.std() - std)]
    # A NaN must not slip through a comparison.
    assert np.isfinite(difference).all(), f"{key} has values that are not finite"
    return float(max(difference.max(), *extra)) if extra else float(difference.max()), float(difference.mean())
