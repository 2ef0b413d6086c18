"""Warnings about a recording that is clipped, quiet or noisy; it is used all the same."""

from __future__ import annotations

import numpy as np

from core.media.decode import Block
from core.notices import notice
from core.types import SAMPLE_RATE_HZ, Samples

_WINDOW = SAMPLE_RATE_HZ // 50
"""20 ms: long enough for a level, short enough to fall into the pauses between syllables."""
_CLIPPED_SHARE = 2e-4
_SILENT_DB, _QUIET_DB = -70.0, -42.0
_NOISY_DB = 12.0
_MIN_NOISE_S = 1.0


class ClipMeter:
    """Counts samples that stand at full scale beside another one that does: a flat top, not a single peak.

    Measured on the decoded original, because resampling rounds the flat tops off.
    """

    def __init__(self) -> None:
        self._flat = 0
        self._total = 0

    def add(self, block: Block) -> None:
        hot = np.abs(block) >= 0.997
        if hot.any():
            self._flat += int((hot[:, 1:] & hot[:, :-1]).sum())
        self._total += block.size

    @property
    def share(self) -> float:
        """0..1"""
        return self._flat / max(self._total, 1)


def describe(samples: Samples, clipped_share: float) -> list[str]:
    """Warnings about a decoded recording.

    samples: (n,) float32 mono 16 kHz. Levels are RMS over 20 ms windows in dB of full scale; speech is the 95th percentile,
    background the 5th: in speech the windows between words are at least 12 dB below those within, unless noise fills them.
    """
    warnings = []
    if clipped_share > _CLIPPED_SHARE:
        warnings.append(notice("sound_clipped"))
    whole = len(samples) // _WINDOW * _WINDOW
    if whole == 0:
        return warnings
    power = np.square(samples[:whole].reshape(-1, _WINDOW)).mean(axis=1)
    low_db, high_db = 10.0 * np.log10(np.percentile(power, (5.0, 95.0)) + 1e-12)
    if high_db < _SILENT_DB and 10.0 * np.log10(power.max() + 1e-12) < _SILENT_DB:
        warnings.append(notice("sound_silent"))
    elif high_db < _QUIET_DB:
        warnings.append(notice("sound_quiet", db=f"{high_db:.0f}"))
    elif high_db - low_db < _NOISY_DB and len(samples) >= _MIN_NOISE_S * SAMPLE_RATE_HZ:
        warnings.append(notice("sound_noisy"))
    return warnings
