"""What is fixed of the codecs for sound: known also where none of them is loaded."""

from __future__ import annotations

OPUS_HZ = 48_000
AAC_FRAME = 1024
"""Samples of one AAC packet."""
AAC_PRIMING = 1024
"""Samples that FFmpeg's encoder puts before the first: its first packet is heard that much before 0."""
_AAC_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""AAC knows 64, 88.2 and 96 kHz too, but phones' decoders end at 48 kHz."""


def aac_rate_hz(rate_hz: int) -> int:
    """The recording's own rate where AAC has it; else the highest that divides it evenly (96 → 48 kHz), else the next higher."""
    if rate_hz in _AAC_RATES_HZ:
        return rate_hz
    if rate_hz > _AAC_RATES_HZ[-1]:
        return next((rate for rate in reversed(_AAC_RATES_HZ[-2:]) if rate_hz % rate == 0), _AAC_RATES_HZ[-1])
    return next(rate for rate in _AAC_RATES_HZ if rate > rate_hz)
