"""Makes clips of a shot: stretches in which one usable face says what is heard, with their motion and speech features."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from core.atomic_components.crop import CROP_PX, Crop, halved
from core.atomic_components.pose import N_KEYPOINTS
from core.atomic_components.source_options import SourceOptions
from core.atomic_components.video_frames import Found, VideoFollower
from core.atomic_components.wav2feat import Wav2Feat
from core.aux_models.landmarks import Landmarks
from core.errors import FaceError
from core.sync.correlation import match
from core.sync.picture import mouth_of
from core.sync.report import judge
from core.sync.sound import Asked, asked_by
from core.types import FPS, SAMPLES_PER_FRAME, Frame, Samples
from training.data.clip import Array, ClipArrays
from training.data.networks import DataNetworks
from training.data.shots import Shot

REASONS = {
    "no_face": "no face is found",
    "several": "several people are seen",
    "turned": "the head is turned too far to the side",
    "small": "the face is too small",
    "cut_off": "the face is cut off by the edge",
    "blurred": "the face is blurred",
    "silent": "nobody speaks",
    "out_of_sync": "the lips do not fit the sound",
    "short": "it is too short",
}
"""Why a stretch of a video is dropped."""
_FAULTS = {"no_face": "no_face", "other_face": "several", "too_small": "small", "turned_away": "turned", "cut_off": "cut_off"}
MOTION_BATCH = 16
LOOK_EVERY = FPS
"""Other people are looked for in every so many frames."""
OTHER_FACE = 0.5
"""A second face so large, relative to the first, is another person of the scene, not of the background."""
LEAST_SPEECH = 0.2
"""Share of a clip in which somebody speaks."""
BLUR_LIMIT = 3.0
"""Standard deviation of the Laplacian of the crop at 256 pixels, as of `core.lite.photo_quality`: visibly blurred faces are below."""


@dataclass(frozen=True)
class Limits:
    """min_frames, max_frames: of a clip. check_sync: False keeps clips whatever the sync report says of them."""

    min_frames: int
    max_frames: int
    check_sync: bool = True


@dataclass(frozen=True)
class Dropped:
    """A stretch that is not used, in seconds of the video."""

    from_s: float
    to_s: float
    reason: str


@dataclass(frozen=True, eq=False)
class MadeClip:
    """first: number of its first frame in the video."""

    first: int
    arrays: ClipArrays


def clips_of(shot: Shot, samples: Samples | None, networks: DataNetworks, limits: Limits, told: Callable[[int], None]) -> Iterator[Any]:
    """MadeClip and Dropped of one shot, in order. samples: of the whole video, as `sound_of` gives them. told: frames looked at so far."""

    def dropped(first: int, end: int, reason: str) -> Dropped:
        return Dropped(round((shot.first + first) / FPS, 2), round((shot.first + end) / FPS, 2), reason)

    if len(shot) < limits.min_frames:
        yield dropped(0, len(shot), "short")
        return
    if samples is None:
        yield dropped(0, len(shot), "silent")
        return
    faces, faults = followed(shot, networks, told)
    for first, end, fault in stretches(faults):
        if fault or end - first < limits.min_frames:
            yield dropped(first, end, fault or "short")
            continue
        heard = samples[(shot.first + first) * SAMPLES_PER_FRAME : (shot.first + end) * SAMPLES_PER_FRAME]
        part = [face for face in faces[first:end] if face is not None]
        made = _clip(shot, first, part, heard, networks, limits)
        yield dropped(first, end, made) if isinstance(made, str) else MadeClip(shot.first + first, made)


def followed(shot: Shot, networks: DataNetworks, told: Callable[[int], None]) -> tuple[list[Found | None], list[str]]:
    """The face of each frame, and why it cannot be used ("": it can)."""
    options = SourceOptions()
    follower = VideoFollower(lambda frame, first: networks.registrar.find(frame, first, options), networks.detector, 0)
    faces: list[Found | None] = []
    for number in range(len(shot)):
        faces.append(follower.step(shot.frames[number]))
        told(shot.first + number + 1)
    try:
        why = follower.shown().why
    except FaceError:  # never a face that can be animated: each frame has its own fault
        return faces, ["no_face" if face is None else "turned" for face in faces]
    faults = [_FAULTS[reason] if reason is not None else "no_face" if face is None else "" for reason, face in zip(why, faces, strict=True)]
    for number in range(0, len(shot), LOOK_EVERY):
        if not faults[number] and _others(shot.frames[number], networks):
            faults[number : number + LOOK_EVERY] = ["several"] * len(faults[number : number + LOOK_EVERY])
    return faces, faults


def stretches(faults: list[str]) -> Iterator[tuple[int, int, str]]:
    """First frame and last + 1 of each run of frames that can be used, or that cannot; of those with the commonest reason."""
    at = 0
    for usable, run in itertools.groupby(faults, lambda fault: not fault):
        reasons = list(run)
        yield at, at + len(reasons), "" if usable else Counter(reasons).most_common(1)[0][0]
        at += len(reasons)


def _others(frame: Frame, networks: DataNetworks) -> bool:
    def extent(face: Landmarks) -> float:
        return float(np.ptp(face.points, axis=0).max())

    faces = networks.detector(frame)
    return len(faces) > 1 and extent(faces[1]) > OTHER_FACE * extent(faces[0])


def _clip(
    shot: Shot, first: int, faces: list[Found], heard: Samples, networks: DataNetworks, limits: Limits
) -> ClipArrays | str:  # fmt: skip
    """The clip, or the reason why there is none. What is cheap is asked first."""
    asked = asked_by(heard)
    if asked.speech.mean() < LEAST_SPEECH:
        return "silent"
    mouth = np.array([mouth_of(face.points) for face in faces], np.float32)
    if limits.check_sync and not _in_sync(mouth, asked):
        return "out_of_sync"
    if float(np.median([_sharpness(face.small) for face in faces[::LOOK_EVERY]])) < BLUR_LIMIT:
        return "blurred"
    motion, sc = _motion(shot, first, faces, networks)
    stage = Wav2Feat(networks.speech)
    features = np.concatenate([*stage.push(heard), *stage.flush()])
    blocks = heard.reshape(len(faces), SAMPLES_PER_FRAME)
    return ClipArrays(
        motion=motion,
        features=features.astype(np.float16),
        eye_open=np.concatenate([face.eye_open for face in faces]).astype(np.float32),
        eye_ball=np.concatenate([face.eye_ball for face in faces]).astype(np.float32),
        sc=sc,
        mouth=mouth,
        asked=asked.curves[: len(faces)].astype(np.float32),
        speech=asked.speech[: len(faces)].astype(np.float32),
        loudness=np.sqrt(np.square(blocks, dtype=np.float64).mean(axis=1)).astype(np.float32),
    )


def _in_sync(mouth: Array, asked: Asked) -> bool:
    seen = mouth.astype(np.float64)
    curves = Asked(asked.curves[: len(seen)], asked.speech[: len(seen)])
    return judge(match(seen, curves.curves, curves.speech), seen, curves).in_time


def _sharpness(crop: Frame) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())


def _motion(shot: Shot, first: int, faces: list[Found], networks: DataNetworks) -> tuple[Array, Array]:
    """(n, 265) motion and (63,) canonical keypoints.

    One crop serves all frames, around the mean of the face: in crops that follow the face, as registration makes them, its movement
    would be lost. Motion is not smoothed.
    """
    options = SourceOptions()
    middle = Landmarks(np.mean([face.landmarks.points for face in faces], axis=0, dtype=np.float32), faces[0].landmarks.layout)
    crop = Crop.around(middle, CROP_PX, options.crop_scale, options.crop_vx_ratio, options.crop_vy_ratio, options.crop_flag_do_rot)
    parts = []
    for start in range(0, len(faces), MOTION_BATCH):
        numbers = range(first + start, first + min(start + MOTION_BATCH, len(faces)))
        parts.append(networks.registrar.motions([halved(crop.pixels(shot.frames[number])) for number in numbers]))
    fields = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows = [fields["scale"] - np.float32(1), *(fields[name] for name in ("pitch", "yaw", "roll", "t", "exp"))]
    return np.concatenate(rows, axis=1).astype(np.float32), fields["kp"][0].reshape(3 * N_KEYPOINTS).astype(np.float32)
