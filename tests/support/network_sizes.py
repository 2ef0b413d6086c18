"""Constructor arguments of Ditto's networks by role that make them small: as many pixels, few channels."""

from __future__ import annotations

from typing import Any

TINY: dict[str, dict[str, Any]] = {
    "appearance_extractor": {"block_expansion": 4, "volume_channels": 2, "volume_depth": 2, "num_resblocks": 1},
    "motion_extractor": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
    "warp_network": {
        "volume_channels": 2, "volume_depth": 2, "out_channels": 8, "compress": 1, "block_expansion": 4, "max_features": 16,
        "num_blocks": 2,
    },
    "decoder": {"in_channels": 8, "middle_channels": 12, "out_channels": 4, "spade_hidden": 4},
    "stitch_network": {"hidden_sizes": (8, 8, 8)},
    "lmdm": {"width": 16, "ff_width": 16, "layers": 2, "heads": 2, "cond_layers": 1},
}  # fmt: skip
