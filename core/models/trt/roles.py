"""Which networks get a TensorRT engine, and in which precision."""

from __future__ import annotations

from typing import Literal

Precision = Literal["fp16", "fp32"]
PRECISION: dict[str, Precision] = {
    "appearance_extractor": "fp16",
    "motion_extractor": "fp32",
    "warp_network": "fp16",
    "decoder": "fp16",
    "lmdm": "fp32",
}
"""As published. The stitch network gets no engine: it is tiny and its answer is waited for frame by frame."""
