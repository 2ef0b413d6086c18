"""The patterns of the imperceptible mark: periodic, band-limited noise whose phases a key decides, and the 32 bits that one may carry.

Spread spectrum (Cox, Kilian, Leighton, Shamoon: "Secure spread spectrum watermarking for multimedia", IEEE Transactions on Image Processing
6(12), 1997) in a tile that repeats, so that a cut or a shifted picture holds it all the same (Honsinger, Rabbani: "Data embedding using
phase dispersion", 2000; Kutter: "Watermarking resistant to translation, rotation, and scaling", 1998). A payload chooses among patterns
that are as good as orthogonal, which needs less strength for a bit than one pattern for each bit.

A pattern is the phases of the tile's frequencies in BAND; SHAKE-256 gives them, so that they are the same everywhere and for good.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

TILE, REFERENCE = 128, 320
"""Side of the tile; the shorter side of a picture, in the same units. Whatever a picture's size, its mark is the same."""
BAND = (0.04, 0.18)
"""Frequencies of the pattern, cycles a unit: below them are the shapes in the picture, above is what codecs leave out."""
SLOPE = -0.25
"""Power of the frequency that amplitudes follow."""
PUBLIC = b"talking-head imperceptible mark, version 1"
"""The key of the pattern that is in every marked picture: anybody can look for it."""
DIGITS, VALUES = 4, 256
"""A payload is so many digits of so many values each: 32 bits."""
_ID_SHARE = 0.35
"""Of the mark's energy, where a payload is carried."""

Complex = NDArray[np.complex128]
Tile = NDArray[np.int16]
"""(TILE, TILE), 64ths of its root mean square."""


def frequencies() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cycles a unit of the bins of `np.fft.rfft2` of a tile, and which of them carry the pattern: one of each pair of conjugates."""
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None]
    cycles: NDArray[np.float64] = np.hypot(fy, fx)
    used = (cycles >= BAND[0]) & (cycles < BAND[1])
    used[:, 0] &= fy[:, 0] > 0
    return cycles, used


CYCLES, USED = frequencies()
N_BINS = int(USED.sum())


def public_phases() -> Complex:
    """(N_BINS,) of modulus 1."""
    return _phases(PUBLIC, 1).reshape(N_BINS)


def digit_phases(key: bytes) -> Complex:
    """(DIGITS, VALUES, N_BINS) of modulus 1: the pattern of each value of each digit under a deployment's key."""
    return _phases(b"talking-head payload of the mark, version 1:" + key, DIGITS * VALUES).reshape(DIGITS, VALUES, N_BINS)


def make_tile(key: bytes | None = None, payload: int = 0) -> Tile:
    """The public pattern; with a key, that of the payload (0 .. 2**32 - 1) beside it."""
    tile = _drawn(public_phases())
    if key is not None:
        digits = payload.to_bytes(DIGITS, "big")
        chosen = sum(_drawn(phases[digit]) for phases, digit in zip(digit_phases(key), digits, strict=True))
        tile = (1 - _ID_SHARE) ** 0.5 * tile + (_ID_SHARE / DIGITS) ** 0.5 * chosen
    result: Tile = np.rint(64 * tile).astype(np.int16)
    return result


def _phases(key: bytes, count: int) -> Complex:
    turns = np.frombuffer(hashlib.shake_256(key).digest(count * N_BINS), np.uint8).reshape(count, N_BINS)
    result: Complex = np.exp(2j * np.pi / 256 * turns)
    return result


def _drawn(phases: Complex) -> NDArray[np.float64]:
    """The tile of these phases, root mean square 1."""
    spectrum = np.zeros(USED.shape, np.complex128)
    spectrum[USED] = phases * CYCLES[USED] ** SLOPE
    spectrum[:, 0] += np.conj(np.roll(spectrum[::-1, 0], 1))  # the other of each pair
    tile = np.fft.irfft2(spectrum, (TILE, TILE))
    drawn: NDArray[np.float64] = tile / np.sqrt(np.mean(tile**2))
    return drawn
