"""Smooths the face mesh of a clip, whose every frame is known: still faces stand still, and what moves is neither late nor smaller.

Each signal is fitted by parabolas in windows of several lengths around every frame (Savitzky and Golay, Analytical Chemistry, 1964); there
the longest window is used that contradicts no shorter one beyond the noise (intersection of confidence intervals: Katkovnik, IEEE
Transactions on Signal Processing, 1999). The head's place, size and turn in the picture are smoothed apart from the face's own shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_mesh import LEFT_EYE_OUTER, RIGHT_EYE_OUTER

Array = NDArray[np.float32]
Double = NDArray[np.float64]

HALF_WINDOWS = (2, 3, 5, 8, 12)
"""Frames on each side of the one that is fitted. At none the signal is as measured, which keeps a blink and a closing lip."""
DEGREE = 2
CONFIDENCE = 1.5
"""Standard deviations within which two windows agree."""
QUANTILE, OF_NORMAL = 0.3, 0.385
"""The noise is read from this quantile of the changes, so that motion does not count as noise; its value for a normal distribution of 1."""
LEAST_NOISE = 1e-4
MOST_NOISE, MOST_NOISE_PX = 0.002, 0.1
"""What the face mesh trembles at most, in eyes' distances and in pixels; changes beyond it are motion, however long they go on."""
HEAD = (33, 133, 263, 362, 6, 168, 197, 4, 10, 151, 9, 127, 356, 234, 454, 93, 323, 103, 332, 67, 297)
"""Points of the mesh that move with the head and hardly with the expression."""
COLUMNS_AT_ONCE = 200


def smoothed(points: Array, runs: list[tuple[int, int]]) -> Array:
    """(n, 478, 3) pixels -> the same, smoothed within each run (first frame, last + 1); other frames stay as they are."""
    result = points.copy()
    for start, end in runs:
        result[start:end] = _smoothed_run(points[start:end])
    return result


def _smoothed_run(points: Array) -> Array:
    plane = points[..., 0] + 1j * points[..., 1].astype(np.complex128)
    centre = plane[:, list(HEAD)].mean(axis=1)
    head = plane[:, list(HEAD)] - centre[:, None]
    model = head[len(head) // 2]
    # The similarity from the model to each frame by least squares, as a complex number whose size is the scale and whose angle the turn.
    factor = (head * np.conj(model)).sum(axis=1) / (np.abs(model) ** 2).sum()
    shape = (plane - centre[:, None]) / factor[:, None]
    eyes_px = float(np.median(np.abs(plane[:, RIGHT_EYE_OUTER] - plane[:, LEFT_EYE_OUTER])))
    most = max(MOST_NOISE * eyes_px, MOST_NOISE_PX)
    signals = np.concatenate([shape.real, shape.imag, points[..., 2] / np.abs(factor)[:, None]], axis=1)
    for start in range(0, signals.shape[1], COLUMNS_AT_ONCE):  # a long clip's windows would take several times its memory
        signals[:, start : start + COLUMNS_AT_ONCE] = adaptively_smoothed(signals[:, start : start + COLUMNS_AT_ONCE], most)
    # As large as the face, the factor's two parts tremble about as much as the two of the place.
    placed = adaptively_smoothed(np.stack([centre.real, centre.imag, factor.real * eyes_px, factor.imag * eyes_px], axis=1), most)
    placed[:, 2:] /= eyes_px
    centre, factor = placed[:, 0] + 1j * placed[:, 1], placed[:, 2] + 1j * placed[:, 3]
    x, y, z = np.split(signals, 3, axis=1)
    plane = (x + 1j * y) * factor[:, None] + centre[:, None]
    return np.stack([plane.real, plane.imag, z * np.abs(factor)[:, None]], axis=-1).astype(np.float32)


def adaptively_smoothed(signals: Double, most: float) -> Double:
    """(n, m): m signals over n frames -> the same, each smoothed as far as its own noise goes, which is `most` at most."""
    n = len(signals)
    noise = np.minimum(_noise(signals), most)
    best = signals.copy()
    low, high = signals - CONFIDENCE * noise, signals + CONFIDENCE * noise
    agree = np.ones(signals.shape, bool)
    for half in HALF_WINDOWS:
        if n < 2 * half + 1:
            break
        fitted, gain = _fitted(signals, half)
        reach = CONFIDENCE * noise * gain[:, None]
        low, high = np.maximum(low, fitted - reach), np.minimum(high, fitted + reach)
        agree &= low <= high
        best = np.where(agree, fitted, best)
    return best


def _noise(signals: Double) -> Double:
    """(m,): the standard deviation of what changes from frame to frame without going anywhere, from third differences."""
    if len(signals) < 5:
        return np.full(signals.shape[1], LEAST_NOISE)
    changes = np.abs(np.diff(signals, 3, axis=0)) / np.sqrt(20)
    noise: Double = np.maximum(np.quantile(changes, QUANTILE, axis=0) / OF_NORMAL, LEAST_NOISE)
    return noise


def _fitted(signals: Double, half: int) -> tuple[Double, Double]:
    """Parabolas over 2 * half + 1 frames, at each frame; near the ends over the first or last so many. (n, m), and the noise left, (n,)."""
    n, length = len(signals), 2 * half + 1
    at = np.arange(-half, half + 1) / max(half, 1)
    basis = np.vander(at, DEGREE + 1)
    hat = basis @ np.linalg.pinv(basis)  # (length, length): row i gives the fit's value at place i of the window
    fitted = np.empty_like(signals)
    fitted[:half] = hat[:half] @ signals[:length]
    fitted[n - half :] = hat[half + 1 :] @ signals[n - length :]
    middle = np.zeros((n - 2 * half, signals.shape[1]))
    for offset, share in enumerate(hat[half]):
        middle += share * signals[offset : offset + n - 2 * half]
    fitted[half : n - half] = middle
    gain = np.full(n, np.linalg.norm(hat[half]))
    gain[:half], gain[n - half :] = np.linalg.norm(hat[:half], axis=1), np.linalg.norm(hat[half + 1 :], axis=1)
    return fitted, gain
