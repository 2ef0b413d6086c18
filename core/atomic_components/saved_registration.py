"""Converts a registration to arrays that can be saved, and back.

Of a photo everything is kept, its feature volume too. Of a video everything but the pictures: they are read from the video again, and the
crops are cut from them as they were.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.atomic_components.crop import CROP_PX, Crop, halved
from core.atomic_components.pose import LAYOUT, Motion
from core.atomic_components.registration import DittoRegistration, PictureFile, SourceFrame
from core.aux_models.shown_frames import ShownFrames
from core.types import Frame

_PARTS = (*LAYOUT, "kp")


def saved(registration: DittoRegistration) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and plain values by name."""
    frames = registration.frames
    arrays: dict[str, NDArray[Any]] = {name: np.stack([frame.motion.parts()[name] for frame in frames]) for name in _PARTS}
    arrays |= {
        "sc": registration.motion.sc,
        "m_o2c": np.stack([frame.crop.m_o2c for frame in frames]),
        "eye_open": registration.motion.eye_open,
        "eye_ball": registration.motion.eye_ball,
        "face_box": np.array([frame.face_box for frame in frames], np.float64),
        "weight": registration.shown.weight,
    }
    if registration.is_image:
        arrays |= {"picture": registration.picture(0), "crop": registration.crop(0), "feature": registration.feature(0).cpu().numpy()}
    values = {
        "is_image": registration.is_image,
        "size": [registration.width, registration.height],
        "source_size": [registration.source_width, registration.source_height],
        "warnings": list(registration.warnings),
        "why": list(registration.shown.why),
        "quarters": registration.quarters,
    }
    return arrays, values


def restored(
    arrays: Mapping[str, NDArray[Any]],
    values: Mapping[str, Any],
    extract: Callable[[Frame], torch.Tensor],
    device: torch.device,
    video: Callable[[], Iterable[Frame]],
    max_store_bytes: int,
) -> DittoRegistration:
    """extract: (256, 256, 3) crop -> feature volume. video: the source's frames, which only a video is asked for.

    Raises KeyError or ValueError where something is missing or does not fit.
    """
    crops = [Crop(m_o2c, np.linalg.inv(m_o2c), CROP_PX) for m_o2c in arrays["m_o2c"]]
    frames = [
        SourceFrame(
            Motion.of({name: arrays[name][i] for name in _PARTS}), crop, arrays["eye_open"][i : i + 1], arrays["eye_ball"][i : i + 1],
            tuple(arrays["face_box"][i].tolist()),
        )
        for i, crop in enumerate(crops)
    ]  # fmt: skip
    source_size = (int(values["source_size"][0]), int(values["source_size"][1]))
    warnings = tuple(values["warnings"])
    if values["is_image"]:
        kept = DittoRegistration(
            frames, arrays["sc"], True, [arrays["picture"]], [arrays["crop"]], extract, source_size, warnings, quarters=values["quarters"]
        )
        kept.give_feature(0, torch.from_numpy(arrays["feature"]).to(device))
        return kept
    size = (int(values["size"][0]), int(values["size"][1]))
    pictures, small = PictureFile(max_store_bytes), PictureFile(max_store_bytes)
    for crop, own in zip(crops, itertools.islice(video(), len(crops)), strict=True):
        picture = own if own.shape[1::-1] == size else cv2.resize(own, size)
        if not (pictures.append(picture) and small.append(halved(crop.pixels(picture)))):
            raise ValueError("there is no room any more for the frames of the video")
    shown = ShownFrames(tuple(values["why"]), arrays["weight"])
    return DittoRegistration(frames, arrays["sc"], False, pictures, small, extract, source_size, warnings, shown)
