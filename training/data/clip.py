"""One clip of a data set: what training knows of a stretch of one shot, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from core.atomic_components.pose import MOTION_DIM
from core.atomic_components.wav2feat import FEATURE_DIM

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClipArrays:
    """n frames, 25 a second. All float32 but features, which are float16 as they are large.

    motion (n, 265): rows as `core.atomic_components.pose.LAYOUT` says, in one crop for the whole clip. features (n, 1024): of speech.
    eye_open (n, 2), eye_ball (n, 6): as the condition has them. sc (63,): canonical keypoints of the first frame.
    mouth (n, 2): opening and width measured on the picture, in distances of the eyes. asked (n, 2): opening and width that the sound asks
    for. speech (n,): 1 where somebody speaks, else 0. loudness (n,): root mean square of the sound, 0..1.
    """

    motion: Array
    features: NDArray[np.float16]
    eye_open: Array
    eye_ball: Array
    sc: Array
    mouth: Array
    asked: Array
    speech: Array
    loudness: Array

    def __len__(self) -> int:
        return len(self.motion)

    def named(self) -> dict[str, NDArray[np.generic]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


SHAPES: dict[str, tuple[int, ...]] = {
    "motion": (MOTION_DIM,), "features": (FEATURE_DIM,), "eye_open": (2,), "eye_ball": (6,), "mouth": (2,), "asked": (2,), "speech": (),
    "loudness": (),
}  # fmt: skip
"""Of one frame of each array; `sc` belongs to the whole clip."""
