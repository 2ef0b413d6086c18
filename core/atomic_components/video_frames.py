"""Follows a face through the frames of a source video, and keeps what is registered of them; frames without it are filled in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.atomic_components.crop import CROP_PX, Crop, halved
from core.atomic_components.pose import Array
from core.atomic_components.registration import PictureFile
from core.aux_models.face_identity import ALIKE, Appearance
from core.aux_models.face_search import SearchPauses, is_blank, looks
from core.aux_models.landmarks import FaceDetector, Landmarks, check_face
from core.aux_models.shown_frames import BRIDGED_S, ShownFrames, Why, check_shown, shown_frames
from core.aux_models.usable_faces import FaceJudge, PictureCuts
from core.errors import FaceError
from core.types import FPS, Frame

MOTION_BATCH = 4
"""Crops whose motion is read at once: on a CPU each takes 0.15 s, and a registration can be cancelled only between batches."""
MotionFields = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
MAX_CANDIDATES = 3
"""Faces of one look that are examined, the nearest first."""


@dataclass(frozen=True, eq=False)
class Found:
    """One frame after its face was found. points: (478, 3) float32, the mesh in pixels of the frame."""

    crop: Crop
    small: Frame
    landmarks: Landmarks
    eye_open: Array
    eye_ball: Array
    face_box: tuple[float, float, float, float]
    points: Array


class VideoFollower:
    """Takes the frames of one video in order.

    find: a frame and the first landmarks of a face in it -> the face, or FaceError. face_index: which face of the first frame with so many.
    """

    def __init__(self, find: Callable[[Frame, Landmarks], Found], detector: FaceDetector, face_index: int) -> None:
        self._find, self._detector, self._face_index = find, detector, face_index
        self._appearance, self._pauses = Appearance(), SearchPauses()
        self._judge, self._cuts = FaceJudge(), PictureCuts()
        self._last: Found | None = None
        self._went_on = self._cut_since = False
        self._most = 0
        self._why: list[Why] = []
        self._cut_at: set[int] = set()

    def step(self, frame: Frame) -> Found | None:
        """The person's face; None where it is not found."""
        cut = self._cuts.begins(frame)
        followed = None if self._last is None else self._followed(frame, self._last, cut)
        if followed is None:
            self._appearance.lost()
        if cut and (followed is None or not self._went_on):  # where the face goes on it was the camera that moved
            self._cut_at.add(len(self._why))
            self._cut_since = True
        found, why = (followed, None) if followed is not None else self._searched(frame)
        if found is not None:
            self._last = found
            self._cut_since = False
            self._pauses.found()
            why = self._judge.fault(found.points, frame.shape[1], frame.shape[0])
        self._went_on = found is not None
        self._why.append(why)
        return found

    def shown(self) -> ShownFrames:
        """After the last frame. Raises FaceError where there never was such a face, or it could never be animated."""
        if self._last is None and self._most:
            check_face(self._most, self._face_index, "the video")
        shown = shown_frames(self._why, FPS, self._cut_at)
        check_shown(shown)
        return shown

    def _followed(self, frame: Frame, last: Found, cut: bool) -> Found | None:
        """The face where it was in the frame before, by its landmarks there."""
        if is_blank(frame):
            return None
        try:
            found = self._find(frame, last.landmarks)
        except FaceError:
            return None
        if cut or not self._went_on:
            return found if self._appearance.likeness(frame, found.points) >= ALIKE else None
        return found if self._appearance.goes_on(frame, found.points, alone=True) else None

    def _searched(self, frame: Frame) -> tuple[Found | None, Why]:
        if self._last is None:
            return self._started(frame)
        last, in_place = self._last, False
        x0, y0, x1, y1 = last.face_box
        middle = last.landmarks.points.mean(axis=0)
        for look in looks(frame, last.face_box, self._pauses.lost()):
            corner = np.array([look.x, look.y], np.float32)
            faces = [face.scaled(1 / look.scale, 1 / look.scale) for face in self._detector(look.pixels)]
            faces = [Landmarks(face.points + corner, face.layout) for face in faces]
            for face in sorted(faces, key=lambda face: float(np.linalg.norm(face.points.mean(axis=0) - middle)))[:MAX_CANDIDATES]:
                try:
                    found = self._find(frame, face)
                except FaceError:
                    continue
                x, y = found.points[:, :2].mean(axis=0)
                in_place |= self._cut_since or (x0 < x < x1 and y0 < y < y1)
                if self._appearance.likeness(frame, found.points) >= ALIKE:
                    return found, None
        return None, "other_face" if in_place else "no_face"

    def _started(self, frame: Frame) -> tuple[Found | None, Why]:
        faces = self._detector(frame) if not is_blank(frame) and self._pauses.lost() else []
        self._most = max(self._most, len(faces))
        if len(faces) <= self._face_index:
            return None, "other_face" if faces else "no_face"
        try:
            found = self._find(frame, faces[self._face_index])
        except FaceError:
            return None, "no_face"
        self._appearance.learn(frame, found.points)
        return found, None


class VideoFrames:
    """What is kept of the frames of one video. Append a frame to `pictures`, then `add` what was found in it.

    read_motions: n crops of (256, 256, 3) -> the motion by field, (n, m) float32 each.
    """

    def __init__(self, max_store_bytes: int, read_motions: Callable[[Sequence[Frame]], dict[str, Array]]) -> None:
        self.pictures, self.crops = PictureFile(max_store_bytes), PictureFile(max_store_bytes)
        self._read_motions = read_motions
        self._at: list[int] = []
        self._found: list[Found] = []
        self._placed: list[Crop] = []
        self._waiting: list[Frame] = []
        self._parts: list[dict[str, Array]] = []

    def add(self, found: Found | None) -> None:
        """Of the picture appended last; None: the face was not found."""
        if found is None:
            return
        number = len(self.pictures) - 1
        before = self._found[-1].crop if self._found else found.crop
        gap = number - len(self._placed)
        bridged = gap <= round(BRIDGED_S * FPS)
        for i in range(gap):
            self._place(_between(before, found.crop, (i + 1) / (gap + 1)) if bridged else before)
        self._placed.append(found.crop)
        self.crops.append(found.small)
        self._waiting.append(found.small)
        self._at.append(number)
        # The crop lies in a file; in memory it would add up, and so would the mesh, which has served.
        self._found.append(dataclasses.replace(found, small=np.empty((0, 0, 3), np.uint8), points=np.empty((0, 3), np.float32)))
        if len(self._waiting) == MOTION_BATCH:
            self._read()

    @property
    def side_px(self) -> float:
        """Of the crops, the mean, in pixels of the frames."""
        return float(np.mean([found.crop.side_px for found in self._found]))

    def motions(self) -> dict[str, Array]:
        """By field (n, m), interpolated where the face was not found. After the last frame, of which one was found."""
        while len(self._placed) < len(self.pictures):
            self._place(self._found[-1].crop)
        if self._waiting:
            self._read()
        return {name: self._spread(np.concatenate([part[name] for part in self._parts])) for name in MotionFields}

    def found(self) -> list[Found]:
        """Of every frame, after `motions`."""
        eye_open, eye_ball, box = (
            self._spread(np.stack([np.ravel(value(found)).astype(np.float32) for found in self._found]))
            for value in (lambda f: f.eye_open, lambda f: f.eye_ball, lambda f: np.array(f.face_box))
        )
        filler = self._found[0]
        exact = dict(zip(self._at, self._found, strict=True))
        return [
            exact.get(i) or dataclasses.replace(
                filler, crop=crop, eye_open=eye_open[i : i + 1], eye_ball=eye_ball[i : i + 1], face_box=tuple(box[i].tolist())
            )
            for i, crop in enumerate(self._placed)
        ]  # fmt: skip

    def _place(self, crop: Crop) -> None:
        """The crop of a frame that was passed over."""
        self.crops.append(halved(crop.pixels(self.pictures[len(self._placed)])))
        self._placed.append(crop)

    def _read(self) -> None:
        self._parts.append(self._read_motions(self._waiting))
        self._waiting = []

    def _spread(self, rows: Array) -> Array:
        """Rows of the frames found -> of all frames."""
        n = len(self.pictures)
        if len(rows) == n:
            return rows
        return np.stack([np.interp(np.arange(n), self._at, column) for column in rows.T], axis=1).astype(np.float32)


def _between(a: Crop, b: Crop, share: float) -> Crop:
    """The crop `share` of the way from a to b; a where they are turned too differently to have an in-between."""
    if float(a.m_o2c[0, :2] @ b.m_o2c[0, :2]) <= 0:
        return a
    m_c2o = (a.m_c2o + np.float32(share) * (b.m_c2o - a.m_c2o)).astype(np.float32)
    return Crop(np.linalg.inv(m_c2o), m_c2o, CROP_PX)
