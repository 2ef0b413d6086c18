"""Ditto's networks on synthetic weights, of the published and of a tiny size, for the tests. Needs torch."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.models import LMDM, AppearanceExtractor, Decoder, MotionExtractor, StitchNetwork, WarpNetwork
from tests.support.golden_io import MANIFEST, SEED
from tests.support.synthetic import fill_state_dict, synthetic_input, synthetic_normal

KINDS: dict[str, type[nn.Module]] = {
    "appearance_extractor": AppearanceExtractor,
    "motion_extractor": MotionExtractor,
    "warp_network": WarpNetwork,
    "decoder": Decoder,
    "stitch_network": StitchNetwork,
    "lmdm": LMDM,
}
TINY: dict[str, dict[str, Any]] = {
    "appearance_extractor": {"block_expansion": 4, "volume_channels": 2, "volume_depth": 4, "num_resblocks": 2},
    "motion_extractor": {"depths": (1, 1, 2, 1), "dims": (8, 12, 16, 24), "num_kp": 5, "num_bins": 6},
    "warp_network": {
        "num_kp": 5, "volume_channels": 4, "volume_depth": 4, "out_channels": 8,
        "compress": 2, "block_expansion": 4, "max_features": 16, "num_blocks": 3,
    },
    "decoder": {"in_channels": 8, "middle_channels": 12, "out_channels": 6, "spade_hidden": 5},
    "stitch_network": {"num_kp": 5, "hidden_sizes": (8, 8)},
    "lmdm": {"motion_dim": 9, "cond_dim": 11, "frames": 8, "width": 16, "ff_width": 24, "layers": 2, "heads": 2, "cond_layers": 1},
}  # fmt: skip
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "appearance_extractor": {"image": (3, 32, 32)},
    "motion_extractor": {"image": (3, 64, 64)},
    "warp_network": {"feature_3d": (4, 4, 16, 16), "kp_source": (5, 3), "kp_driving": (5, 3)},
    "decoder": {"feature": (8, 16, 16)},
    "stitch_network": {"kp_source": (5, 3), "kp_driving": (5, 3)},
    "lmdm": {"x": (8, 9), "cond_frame": (9,), "cond": (8, 11)},
}
"""Arguments of the tiny networks, without the batch."""


@functools.cache
def manifest() -> dict[str, Any]:
    """{network: what is known of its published checkpoint}."""
    return json.loads(MANIFEST.read_text())["models"]


def published_weights(name: str, seed: int = SEED) -> dict[str, Tensor]:
    shapes = manifest()[name]["state_dict"]
    return {key: torch.from_numpy(value) for key, value in fill_state_dict(shapes, seed, name).items()}


@functools.lru_cache(maxsize=1)
def published(name: str) -> nn.Module:
    """The network of the published size, strictly loaded. The last one is kept: do not change it."""
    with torch.device("meta"):
        network = KINDS[name]()
    network.load_state_dict(published_weights(name), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def tiny(name: str) -> nn.Module:
    network = KINDS[name](**TINY[name])
    weights = fill_state_dict(network, SEED, name)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()}, strict=True)
    return network.eval().requires_grad_(False)


def tiny_arguments(name: str, n: int) -> dict[str, Tensor]:
    """n different items, by argument name."""
    out = {}
    for argument, shape in SHAPES[name].items():
        low = -0.4 if argument.startswith("kp") else 0.0
        make = synthetic_input if argument == "image" or low else synthetic_normal
        bounds = (low, low + 1.0) if make is synthetic_input else ()
        out[argument] = torch.from_numpy(np.stack([make(f"{argument}{i}", shape, SEED, *bounds) for i in range(n)]))
    if name == "lmdm":
        out["time_cond"] = torch.tensor([999, 19, 479])[:n]
    return out


def as_tuple(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)


def normal(name: str, shape: tuple[int, ...], gain: float = 1.0) -> Tensor:
    return torch.from_numpy(np.float32(gain) * synthetic_normal(name, shape, SEED))


def uniform(name: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return torch.from_numpy(synthetic_input(name, shape, SEED, low, high))


def apart(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the larger of 1 and the largest value."""
    return float((a.double() - b.double()).abs().max()) / max(1.0, float(a.double().abs().max()))
