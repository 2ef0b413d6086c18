"""Which checkpoints the Ditto engine uses, and what its frames are told apart by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from core.engines.ditto_networks import NETWORKS
from core.errors import EngineUnavailable, TalkingHeadError
from core.optimization.gpu_optimization import Placement, describe

FORMAT = 5
"""Counts changes of this engine's code that change its frames."""
DIGEST_BYTES = 1 << 16
"""The bytes at the beginning, middle and end of each checkpoint that go into the revision, beside its size; so 2 GB need not be read."""


def needed_checkpoints(checkpoints: Mapping[str, Path], detector: str, cfg_pkl: Path | None) -> dict[str, Path]:
    """The paths in use, all of which exist. Raises EngineUnavailable."""
    roles = ["cfg", *NETWORKS, "hubert", "landmark203"]
    if detector == "insightface":
        roles += ["insightface_det", "landmark106"]
    paths = {role: Path(checkpoints[role]) for role in roles if role in checkpoints}
    if cfg_pkl is not None:
        paths["cfg"] = cfg_pkl
    extra = " --with insightface" if detector == "insightface" else ""
    fetch = f"Fetch them: python model_manager.py download{extra}"
    if missing := [role for role in roles if role not in paths]:
        raise EngineUnavailable(f"The ditto engine was given no checkpoint of: {', '.join(missing)}.", fetch)
    if gone := [str(path) for path in paths.values() if not path.is_file()]:
        raise EngineUnavailable(f"Checkpoints of the ditto engine are missing: {', '.join(gone[:3])}.", fetch)
    return paths


def revision_of(paths: Mapping[str, Path], placement: Placement, detector: str, way: str) -> str:
    """Changes whenever frames could. way: what else decides how the networks compute. Raises TalkingHeadError."""
    digest = hashlib.sha256(json.dumps([dict(describe(placement)), detector, torch.__version__, way], sort_keys=True).encode())
    for role, path in sorted(paths.items()):
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                digest.update(f"{role} {size} ".encode())
                for start in sorted({0, max(0, size // 2), max(0, size - DIGEST_BYTES)}):
                    file.seek(start)
                    digest.update(file.read(DIGEST_BYTES))
        except OSError as error:
            raise TalkingHeadError(f"The checkpoint {path} cannot be read ({error.strerror}).", "Fetch it again.") from error
    return f"{FORMAT}.{digest.hexdigest()[:12]}"
