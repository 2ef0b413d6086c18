"""Weights that a run begins from: published ones, or those of another run that was exported."""

from __future__ import annotations

from pathlib import Path

from core.models import LMDM
from core.models.checkpoint import PUBLISHED, check_weights, read_weights

EMBEDDING = "null_cond_embed"


def put_published(network: LMDM, path: Path) -> None:
    """Fills the network from a file as published, or a folder that holds one. Raises CheckpointError.

    A network with shorter windows takes the beginning of the embedding that stands for no condition, the only weight that has a length.
    """
    if path.is_dir():
        named = Path(PUBLISHED[LMDM].path)
        path = next((path / each for each in (named, named.relative_to("ditto_pytorch")) if (path / each).is_file()), path / named)
    weights = read_weights(LMDM, path)
    if EMBEDDING in weights and weights[EMBEDDING].ndim == 3 and weights[EMBEDDING].shape[1] > network.frames:
        weights[EMBEDDING] = weights[EMBEDDING][:, : network.frames].clone()
    check_weights(network, weights, path)
    network.load_state_dict(weights)
