"""How much of each viseme and blendshape a frame shows, from what the mouth networks make of sound, or from phones with known times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.lite.mouth import APERTURE, LOUDNESS, SPREAD, TUCK
from core.lite.phones import TABLE, Segment, expand
from core.visemes.names import OCULUS, OF_SOUND, SILENCE, Viseme, visemes_of

F32 = NDArray[np.float32]

DRIVEN = (
    "jawOpen", "mouthFunnel", "mouthPucker", "mouthStretchLeft", "mouthStretchRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthRollLower", "mouthRollUpper", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "mouthPressLeft", "mouthPressRight",
)  # fmt: skip
"""ARKit's blendshapes that speech moves."""
_TYPICAL = {"PP": "p", "FF": "f", "DD": "t", "CH": "ʃ", "SS": "s", "aa": "ɑ", "E": "ɛ", "I": "i", "O": "o", "U": "u"}
"""The phone whose target (`core.lite.phones.TABLE`) a viseme is known by where only the shape of the mouth is known."""
_APART, _CLOSED_APART = (0.15, 0.3, 0.25), (0.1, 1.0, 0.5)
"""By how much aperture, spread and tuck of one viseme vary, and of closed lips, which are wide or round as their neighbours are."""
_VOICED = 0.15
"""Loudness from which closed lips are a sound, not a rest."""
FLANK_S = 0.04
"""Visemes of known phones go over into one another within so long."""


def oculus_of_rows(rows: F32) -> F32:
    """rows: (n, 4) of `core.lite.mouth.MouthTracker`. Returns (n, 15), 0..1, each row with the sum 1, in the order of OCULUS.

    A viseme weighs by how close the mouth is to that of its typical phone, by a normal distribution. TH, kk, nn and RR stay 0 (`OF_SOUND`).
    """
    targets = np.array([(t.aperture, t.spread, t.tuck) for t in (TABLE[phone] for phone in _TYPICAL.values())], np.float32)
    shape = rows[:, [APERTURE, SPREAD, TUCK]].copy()
    shape[:, 0] = np.minimum(shape[:, 0], 1)
    apart = np.array([_CLOSED_APART if name == "PP" else _APART for name in _TYPICAL], np.float32)
    away = ((shape[:, None] - targets[None]) / apart) ** 2
    near = np.exp(-0.5 * (away.sum(2) - away.sum(2).min(1, keepdims=True)))
    near /= near.sum(1, keepdims=True)
    out: F32 = np.zeros((len(rows), len(OCULUS)), np.float32)
    out[:, [OCULUS.index(name) for name in _TYPICAL]] = near
    closed = OCULUS.index("PP")
    rest = (1 - np.clip(rows[:, LOUDNESS] / _VOICED, 0, 1)) * out[:, closed]
    out[:, closed] -= rest
    out[:, OCULUS.index(SILENCE)] = rest
    return out


def parts(phone: Segment) -> list[tuple[Viseme, float, float]]:
    """The visemes of a phone, with the times of its parts."""
    return [(viseme, start, end) for viseme, (_, start, end) in zip(visemes_of(phone[0]), expand([phone]), strict=True)]


def oculus_of_phones(segments: Sequence[Segment], t: NDArray[np.float64]) -> F32:
    """The same at the times t (seconds, in order) where it is known when which phone is said; silence outside all of them."""
    out = np.zeros((len(t), len(OCULUS)))
    for viseme, start_s, end_s in (part for phone in segments for part in parts(phone)):
        first, last = np.searchsorted(t, (start_s - FLANK_S, end_s + FLANK_S))  # only these: a long recording has many of both
        at = t[first:last]
        outside = np.maximum(np.maximum(start_s - at, at - end_s) / FLANK_S + 0.5, 0.0)  # half of it where one phone ends and one begins
        out[first:last, OCULUS.index(viseme.oculus)] += 0.5 + 0.5 * np.cos(np.pi * np.minimum(outside, 1))
    out[:, OCULUS.index(SILENCE)] += np.maximum(0, 1 - out.sum(1))
    weights: F32 = (out / out.sum(1, keepdims=True)).astype(np.float32)
    return weights


def arkit_of_rows(rows: F32, oculus: F32) -> F32:
    """rows: as above; oculus: the weights of the same frames. Returns (n, 15), 0..1, in the order of DRIVEN."""
    opening, spread, tuck = np.minimum(rows[:, APERTURE], 1), np.clip(rows[:, SPREAD], -1, 1), rows[:, TUCK]
    wide, rounded, pressed = np.maximum(spread, 0), np.maximum(-spread, 0), oculus[:, OCULUS.index("PP")]
    lower, upper = 0.4 * opening * (1 - tuck) * (1 - rounded), 0.25 * opening * (1 - rounded) + 0.2 * tuck
    out: F32 = np.stack(
        (
            0.6 * opening,
            rounded * np.minimum(1.5 * opening, 1),
            rounded * (1 - opening),
            0.4 * wide, 0.4 * wide,
            0.25 * wide, 0.25 * wide,
            0.7 * tuck,
            0.2 * pressed,
            lower, lower,
            upper, upper,
            0.5 * pressed, 0.5 * pressed,
        ),
        axis=1,
    )  # fmt: skip
    return np.clip(out, 0, 1).astype(np.float32, copy=False)


def azure_of_sound(oculus: F32) -> list[int]:
    """Azure's number of the viseme that weighs most in each row of `oculus_of_rows`."""
    return [OF_SOUND[OCULUS[column]] for column in oculus.argmax(1).tolist()]
