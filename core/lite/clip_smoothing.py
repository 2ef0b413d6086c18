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
POINTS_AT_ONCE = 60


def smoothed(points: Array, runs: list[tuple[int, int]]) -> Array:
    """(n, 478, 3) pixels -> the same, smoothed within each run (first frame, last + 1); other frames stay as they are."""
    result = points.copy()
    for start, end in runs:
        result[start:end] = _smoothed_run(points[start:end])
    return result


def _smoothed_run(points: Array) -> Array:
    head = _plane(points[:, list(HEAD)])
    centre = head.mean(axis=1)
    head -= centre[:, None]
    model = head[len(head) // 2]
    # The similarity from the model to each frame by least squares, as a complex number whose size is the scale and whose angle the turn.
    factor = (head * np.conj(model)).sum(axis=1) / (np.abs(model) ** 2).sum()
    eyes_px = float(np.median(np.linalg.norm(points[:, RIGHT_EYE_OUTER, :2] - points[:, LEFT_EYE_OUTER, :2], axis=1)))
    most = max(MOST_NOISE * eyes_px, MOST_NOISE_PX)
    # As large as the face, the factor's two parts tremble about as much as the two of the place.
    placed = adaptively_smoothed(np.stack([centre.real, centre.imag, factor.real * eyes_px, factor.imag * eyes_px], axis=1), most)
    new_centre, new_factor = placed[:, :1] + 1j * placed[:, 1:2], (placed[:, 2:3] + 1j * placed[:, 3:]) / eyes_px
    result = np.empty_like(points)
    for start in range(0, points.shape[1], POINTS_AT_ONCE):  # all at once would take several times the memory of a long clip's points
        some = points[:, start : start + POINTS_AT_ONCE]
        shape = (_plane(some) - centre[:, None]) / factor[:, None]
        depth = some[..., 2] / np.abs(factor)[:, None]
        x, y, z = np.split(adaptively_smoothed(np.concatenate([shape.real, shape.imag, depth], axis=1), most), 3, axis=1)
        plane = (x + 1j * y) * new_factor + new_centre
        result[:, start : start + POINTS_AT_ONCE] = np.stack([plane.real, plane.imag, z * np.abs(new_factor)], axis=-1)
    return result


def _plane(points: Array) -> NDArray[np.complex128]:
    """(..., 3) -> (...): x + iy."""
    plane: NDArray[np.complex128] = points[..., 0] + 1j * points[..., 1].astype(np.float64)
    return plane


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
