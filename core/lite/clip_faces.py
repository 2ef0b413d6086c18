"""The face of one person in every frame of a clip: mesh, expression, turn, and how much of the new mouth a frame shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import FACE_OVAL, Face
from core.aux_models.shown_frames import Why, check_shown, shown_frames, skipped_spans
from core.errors import ImageError
from core.generation import Skipped
from core.lite.clip_smoothing import adaptively_smoothed, smoothed
from core.lite.clip_tracking import ClipTracker
from core.types import Frame

Array = NDArray[np.float32]

SCORE_NOISE, ANGLE_NOISE_DEG = 0.02, 0.5
"""What the scores of expressions and the angles of the head tremble at most."""


@dataclass(frozen=True, eq=False)
class ClipFaces:
    """One person in a clip of n frames. All arrays are float32, by frame.

    points: (n, 478, 3), as `Face.points`, in pixels of the clip's frames; smoothed without lag, short gaps interpolated, and filled where
    the weight is 0. boxes: (n, 4) x0, y0, x1, y1 of the face oval, pixels. jaw_open, smile: (n,) 0..1, blendshapes, of the smile the
    mean of both sides. yaw_deg, pitch_deg, roll_deg: (n,), as of `Face`.
    weight: (n,) 0..1, how much of the new mouth is shown. why: by frame, None where it is. skipped: the same as spans of the clip's time.
    cuts: numbers of the frames that begin another picture, growing. width, height: of the frames.
    """

    points: Array
    boxes: Array
    jaw_open: Array
    smile: Array
    yaw_deg: Array
    pitch_deg: Array
    roll_deg: Array
    weight: Array
    why: tuple[Why, ...]
    fps: float
    skipped: tuple[Skipped, ...]
    cuts: tuple[int, ...]
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.points)


def track(
    frames: Iterator[Frame], finder: FaceFinder, face_index: int | None, fps: float, on_frame: Callable[[int, int], None]
) -> ClipFaces:
    """frames: (H, W, 3) uint8 RGB, read once. face_index: which face of the first frame with so many, counted from the largest (None: 0).

    on_frame: as RegisterCallback, its total 0. Raises FaceError where no frame has a usable face, ImageError where there are no frames.
    """
    size = (0, 0)
    with closing(ClipTracker(finder, face_index)) as tracker:
        for number, frame in enumerate(frames):
            tracker.step(frame)
            size = frame.shape[1], frame.shape[0]
            on_frame(number + 1, 0)
    if not tracker.faces:
        raise ImageError("The video has no frames.", "Is the file complete?")
    tracker.check()
    shown = shown_frames(tracker.why, fps, tracker.cuts)
    check_shown(shown)
    filled = _Filled(tracker.faces, tracker.jumps | tracker.cuts)
    points = filled.points
    oval = points[:, list(FACE_OVAL), :2]
    return ClipFaces(
        points=points,
        boxes=np.concatenate([oval.min(axis=1), oval.max(axis=1)], axis=1),
        jaw_open=filled.of(lambda face: face.blendshapes["jawOpen"], SCORE_NOISE),
        smile=filled.of(lambda face: (face.blendshapes["mouthSmileLeft"] + face.blendshapes["mouthSmileRight"]) / 2, SCORE_NOISE),
        yaw_deg=filled.of(lambda face: face.yaw_deg, ANGLE_NOISE_DEG),
        pitch_deg=filled.of(lambda face: face.pitch_deg, ANGLE_NOISE_DEG),
        roll_deg=filled.of(lambda face: face.roll_deg, ANGLE_NOISE_DEG),
        weight=shown.weight,
        why=shown.why,
        fps=fps,
        skipped=skipped_spans(shown.why, fps),
        cuts=tuple(sorted(tracker.cuts)),
        width=size[0],
        height=size[1],
    )


class _Filled:
    """The values of every frame: smoothed where the face was found, interpolated in between."""

    def __init__(self, faces: Sequence[Face | None], breaks: set[int]) -> None:
        self._faces = [face for face in faces if face is not None]
        self._at = np.array([number for number, face in enumerate(faces) if face is not None])
        self._n = len(faces)
        self._runs = _runs(self._at, breaks)
        found = smoothed(np.stack([face.points for face in self._faces]), self._runs)
        self.points = self._spread(found.reshape(len(found), -1)).reshape(self._n, *found.shape[1:])

    def of(self, value: Callable[[Face], float], most_noise: float) -> Array:
        """(n,)."""
        found = np.array([[value(face)] for face in self._faces], np.float64)
        for start, end in self._runs:
            found[start:end] = adaptively_smoothed(found[start:end], most_noise)
        return self._spread(found)[:, 0].astype(np.float32)

    def _spread(self, found: NDArray[np.floating]) -> NDArray[np.floating]:
        """(found frames, m) -> (n, m): straight from the frame found before to the one found after."""
        if len(found) == self._n:
            return found
        numbers = np.arange(self._n)
        after = np.clip(np.searchsorted(self._at, numbers), 0, len(self._at) - 1)
        before = np.where(self._at[after] > numbers, np.maximum(after - 1, 0), after)
        way = np.maximum(self._at[after] - self._at[before], 1)
        share = (np.clip(numbers - self._at[before], 0, way) / way).astype(found.dtype)[:, None]
        spread: NDArray[np.floating] = found[before] + (found[after] - found[before]) * share
        return spread


def _runs(at: NDArray[np.int64], breaks: set[int]) -> list[tuple[int, int]]:
    """Runs of found frames, by their place among these, that were followed without a gap."""
    starts = [0] + [i for i in range(1, len(at)) if at[i] != at[i - 1] + 1 or int(at[i]) in breaks]
    return list(zip(starts, [*starts[1:], len(at)], strict=True))
