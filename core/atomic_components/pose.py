"""The representation of head motion: the 265 numbers of a frame and the 21 keypoints computed from them.

The motion space is LivePortrait's (Guo et al. 2024, "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting
Control", arXiv:2407.03168): a scale, three head angles as 66 bins each, a translation, and an offset for each of 21 implicit keypoints.
Ditto (Li et al. 2024, "Ditto: Motion-Space Diffusion for Controllable Realtime Talking Head Synthesis", arXiv:2411.19509) predicts
all of it but the canonical keypoints, which belong to the person. Everything here is float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import InputError

Array = NDArray[np.float32]

MOTION_DIM = 265
POSE_DIM = 202
"""Dims [0:202] say where the head is (scale, angles, translation), [202:265] what the face does."""
N_KEYPOINTS = 21
N_BINS = 66
BIN_DEG, FIRST_BIN_DEG = 3.0, -97.5
LAYOUT: dict[str, slice] = {
    "scale": slice(0, 1),
    "pitch": slice(1, 67),
    "yaw": slice(67, 133),
    "roll": slice(133, 199),
    "t": slice(199, 202),
    "exp": slice(202, 265),
}
"""Where each part lies in a motion row. A row holds scale - 1."""
ANGLES = ("pitch", "yaw", "roll")


def vector(name: str, value: ArrayLike, size: int) -> Array:
    """`value` as a read-only copy, (size,) float32; a leading axis of 1 is dropped. InputError where it does not fit or is not finite."""
    array = np.array(value, dtype=np.float32).reshape(-1)
    if array.size != size:
        raise InputError(f"{name} has {array.size} values.", f"It must have {size}.")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds values that are not numbers.", "Register the source again.")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Motion:
    """One frame of motion, as the motion extractor gives it. All float32.

    scale (1,); pitch, yaw, roll (66,) logits over bins of 3 degrees, or (1,) degrees; t (3,), of which z is not used; exp (63,) =
    21 x (x, y, z); kp (63,) canonical keypoints. Head-on is 0 degrees; coordinates are about -1..1 over the crop.
    """

    scale: Array
    pitch: Array
    yaw: Array
    roll: Array
    t: Array
    exp: Array
    kp: Array

    @classmethod
    def of(cls, parts: Mapping[str, ArrayLike]) -> Motion:
        """From arrays by name, with or without a leading batch axis of 1."""
        sizes = {"scale": 1, "pitch": N_BINS, "yaw": N_BINS, "roll": N_BINS, "t": 3, "exp": 3 * N_KEYPOINTS, "kp": 3 * N_KEYPOINTS}
        return cls(**{name: vector(name, parts[name], size) for name, size in sizes.items()})

    def parts(self) -> dict[str, Array]:
        """The fields by name; the arrays are not copied."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def row(self) -> Array:
        """(265,) float32: the frame as the diffusion model sees it."""
        return np.concatenate([self.scale - np.float32(1), self.pitch, self.yaw, self.roll, self.t, self.exp])


@dataclass(frozen=True, eq=False)
class SourceMotion:
    """What registration knows about how the source moves; m frames, m = 1 for a photo.

    motions: one Motion per frame, smoothed for a video. sc: (63,) the canonical keypoints of the first frame before smoothing.
    eye_open: (m, 2) lid openings left, right. eye_ball: (m, 6) gaze, xL xR yL yR zL zR. is_image: a photo, not a video of one frame.
    """

    motions: Sequence[Motion]
    sc: Array
    eye_open: Array
    eye_ball: Array
    is_image: bool

    def __post_init__(self) -> None:
        n = len(self.motions)
        if n == 0 or (self.is_image and n != 1):
            raise InputError(f"The source has {n} frames.", "A photo has one, a video at least one.")
        object.__setattr__(self, "motions", tuple(self.motions))
        object.__setattr__(self, "sc", vector("sc", self.sc, 3 * N_KEYPOINTS))
        for name, width in (("eye_open", 2), ("eye_ball", 6)):
            object.__setattr__(self, name, vector(name, getattr(self, name), n * width).reshape(n, width))

    @property
    def scale(self) -> float:
        """Scale of the first frame."""
        return float(self.motions[0].scale[0])


def degrees(angle: Array) -> Array:
    """(..., 66) logits -> (...) degrees, the expectation over the bins; anything else is degrees already."""
    if angle.shape[-1] != N_BINS:
        return angle
    weights = np.exp(angle - angle.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    expected: Array = (weights * np.arange(N_BINS, dtype=np.float32)).sum(axis=-1) * np.float32(BIN_DEG) + np.float32(FIRST_BIN_DEG)
    return expected


def rotation(pitch_deg: ArrayLike, yaw_deg: ArrayLike, roll_deg: ArrayLike) -> Array:
    """(n,) degrees each -> (n, 3, 3) float32, to be multiplied from the right: (Rz(roll) Ry(yaw) Rx(pitch)) transposed."""
    angles = np.stack([np.asarray(a, np.float32).reshape(-1) for a in (pitch_deg, yaw_deg, roll_deg)])
    x, y, z = np.deg2rad(angles)
    one, none = np.ones_like(x), np.zeros_like(x)
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)

    def matrix(*entries: Array) -> Array:
        return np.stack(entries, axis=1).reshape(-1, 3, 3)

    about_x = matrix(one, none, none, none, cx, -sx, none, sx, cx)
    about_y = matrix(cy, none, sy, none, one, none, -sy, none, cy)
    about_z = matrix(cz, -sz, none, sz, cz, none, none, none, one)
    turn: Array = (about_z @ about_y @ about_x).transpose(0, 2, 1).astype(np.float32, copy=False)
    return turn


def keypoints(parts: Mapping[str, Array]) -> Array:
    """scale * (kp R + exp) + t_xy of one frame (fields of Motion) -> (21, 3) float32. The published model ignores t_z, and so do we."""
    turn = rotation(*(degrees(parts[name].reshape(-1)) for name in ANGLES))[0]
    points = parts["kp"].reshape(N_KEYPOINTS, 3) @ turn + parts["exp"].reshape(N_KEYPOINTS, 3)
    points = points * parts["scale"].reshape(1, 1)
    points[:, :2] += parts["t"].reshape(3)[:2]
    moved: Array = points
    return moved
