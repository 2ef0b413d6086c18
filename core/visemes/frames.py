"""The visemes of one frame after the other, as they are told beside a live video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.lite.mouth import MouthTracker
from core.lite.phones import Segment
from core.lite.weights_file import F32
from core.types import FPS, Phone, Samples
from core.visemes.names import OCULUS, SILENCE
from core.visemes.weights import DRIVEN, FLANK_S, arkit_of_rows, azure_of_sound, oculus_of_phones, oculus_of_rows, parts

FRAME_MS = 1000 // FPS
DIGITS = 3
AT_REST: dict[str, Any] = {"oculus": SILENCE, "weight": 1.0, "azure": 0, "arkit": [0.0] * len(DRIVEN)}
"""A frame of closed lips."""


def layout() -> dict[str, Any]:
    """What the numbers of frames stand for, in plain JSON types."""
    return {"frame_ms": FRAME_MS, "oculus": list(OCULUS), "arkit": list(DRIVEN)}


class MouthFrames:
    """Those of one utterance, as its sound comes in: each as soon as `core.lite.mouth.LOOK_AHEAD_SAMPLES` after it are there."""

    def __init__(self) -> None:
        self._tracker = MouthTracker()
        self._phones: list[Segment] = []
        self._n = 0

    def expect(self, phones: Sequence[Phone]) -> None:
        """As `core.engines.base.Session.expect`."""
        self._tracker.expect(phones)
        self._phones += [(phone.ipa, phone.start_s, phone.end_s) for phone in phones]

    def push(self, samples: Samples) -> list[dict[str, Any]]:
        """samples: (n,) float32, 16 kHz. The frames that are certain now, as of `frame_of`."""
        return [self._frame(row) for row in self._tracker.push(samples)]

    def flush(self) -> list[dict[str, Any]]:
        """Those that are left."""
        return [self._frame(row) for row in self._tracker.flush()]

    def _frame(self, row: F32) -> dict[str, Any]:
        middle_s = (self._n + 0.5) / FPS
        self._n += 1
        self._phones = [phone for phone in self._phones if phone[2] > middle_s - FLANK_S]
        return frame_of(row, [phone for phone in self._phones if phone[1] < middle_s + FLANK_S], middle_s)


def frame_of(row: F32, phones: Sequence[Segment], middle_s: float) -> dict[str, Any]:
    """row: (4,) of the mouth networks. phones: those around the middle of the frame, where they are known. oculus: the viseme that weighs
    most, weight: how much, 0..1; azure: its number there; arkit: weights in the order of DRIVEN. Plain JSON types.
    """
    said = next((phone for phone in phones if phone[1] <= middle_s < phone[2]), None)
    weights = oculus_of_rows(row[None]) if said is None else oculus_of_phones(phones, np.array([middle_s]))
    strongest = int(weights[0].argmax())
    azure = azure_of_sound(weights)[0] if said is None else next(each.azure for each, start, end in parts(said) if middle_s < end)
    return {
        "oculus": OCULUS[strongest],
        "weight": round(float(weights[0, strongest]), DIGITS),
        "azure": azure,
        "arkit": [round(value, DIGITS) for value in arkit_of_rows(row[None], weights)[0].tolist()],
    }
