"""How much a face is busy speaking: its lips press together where they meet, its tongue rises, and its smile relaxes."""

from __future__ import annotations

import dataclasses

from core.lite.expression import Expression
from core.types import FPS

VOICE_SOFT = 0.15
"""Effort of the voice from which on a frame counts as spoken in full."""
PRESS_IN, PRESS_OUT = 0.5, 0.2
"""Share of the way that is gone in a frame of 40 ms: lips press for as long as a word goes on, and rest soon after."""
RELAX, SMILE_AGAIN = 0.12, 0.025
"""The same of the smile: it relaxes within half a second, and comes back in a pause of a few."""
TONGUE = 0.6
"""The same of the tongue: lips that open wide pass its aperture in a frame, and it does not flash up there."""
TOUCHING = 0.06
"""Aperture from which on lips do not touch."""


class Speaking:
    """One face, from the first frame on. fps: of the frames."""

    def __init__(self, fps: float = FPS) -> None:
        self._shares = tuple(1 - (1 - share) ** (FPS / fps) for share in (PRESS_IN, PRESS_OUT, RELAX, SMILE_AGAIN, TONGUE))
        self._voice = self._relaxed = self._tongue = 0.0

    def step(self, lips: Expression, loudness: float) -> Expression:
        """The next frame's lips. lips: as `spoken` gives them, smile: what is left of it in speech. loudness: 0..1, of this frame."""
        heard = min(loudness / VOICE_SOFT, 1.0)
        press_in, press_out, relax, smile_again, rise = self._shares
        self._voice += (press_in if heard > self._voice else press_out) * (heard - self._voice)
        self._relaxed += (relax if heard > self._relaxed else smile_again) * (heard - self._relaxed)
        touching = max(0.0, 1 - lips.aperture / TOUCHING)
        self._tongue += rise * (lips.tongue - self._tongue)
        smile = 1 - self._relaxed * (1 - lips.smile)
        return dataclasses.replace(lips, press=self._voice * touching, smile=smile, tongue=self._tongue)
