"""The visemes of one frame after the other, as they are told beside a live video."""

from __future__ import annotations

from typing import Any

from core.lite.mouth import F32
from core.types import FPS
from core.visemes.names import OCULUS, SILENCE
from core.visemes.weights import DRIVEN, arkit_of_rows, azure_of_sound, oculus_of_rows

FRAME_MS = 1000 // FPS
DIGITS = 3
AT_REST: dict[str, Any] = {"oculus": SILENCE, "weight": 1.0, "azure": 0, "arkit": [0.0] * len(DRIVEN)}
"""A frame of closed lips."""


def layout() -> dict[str, Any]:
    """What the numbers of frames stand for, in plain JSON types."""
    return {"frame_ms": FRAME_MS, "oculus": list(OCULUS), "arkit": list(DRIVEN)}


def frame_of(row: F32) -> dict[str, Any]:
    """row: (4,) of the mouth networks. oculus: the viseme that weighs most, weight: how much, 0..1; azure: its number there; arkit: weights
    in the order of DRIVEN. Plain JSON types.
    """
    weights = oculus_of_rows(row[None])
    strongest = int(weights[0].argmax())
    return {
        "oculus": OCULUS[strongest],
        "weight": round(float(weights[0, strongest]), DIGITS),
        "azure": azure_of_sound(weights)[0],
        "arkit": [round(value, DIGITS) for value in arkit_of_rows(row[None], weights)[0].tolist()],
    }
