"""Follows one person's face through the frames of a clip, and says of each frame why it cannot be used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_follower import FaceFollower
from core.aux_models.face_identity import ALIKE, STILL_ALIKE, Appearance
from core.aux_models.face_mesh import Face, FaceFinder
from core.aux_models.face_search import Look, SearchPauses, is_blank, looks
from core.aux_models.landmarks import check_face
from core.aux_models.shown_frames import Why
from core.aux_models.usable_faces import FaceJudge, PictureCuts
from core.types import Frame

JUMP = 0.35
"""A followed face that moves this part of its eyes' distance away from where it was going is looked at twice."""
STRETCH = 1.2
"""And one that grows or shrinks by this factor."""


class ClipTracker:
    """Takes a clip's frames in order. Not thread-safe. To be closed."""

    def __init__(self, finder: FaceFinder, face_index: int | None) -> None:
        self._finder, self._face_index = finder, face_index or 0
        self._follower = FaceFollower()
        self._appearance = Appearance()
        self._pauses = SearchPauses()
        self._last: Face | None = None
        self._before: Face | None = None
        self._judge, self._cuts = FaceJudge(), PictureCuts()
        self._followed = False
        self._most = 0
        self.faces: list[Face | None] = []
        """By frame; None where the person was not found."""
        self.why: list[Why] = []
        self.cuts: set[int] = set()
        """Numbers of frames that begin another picture."""
        self.jumps: set[int] = set()
        """Numbers of frames in which the face was found anew, so that it need not continue the way it had before."""

    def close(self) -> None:
        self._follower.close()

    def step(self, frame: Frame) -> None:
        """(H, W, 3) uint8 RGB, the next frame."""
        number, followed = len(self.faces), False
        cut = self._cuts.begins(frame)
        face, why = None, None
        if self._last is None:
            face, why = self._started(frame)
        elif self._followed:
            face = self._follow(frame, self._last, cut)
            followed = face is not None
        if face is None and why is None:
            face, why = self._searched(frame, self._last)
        if cut and not followed:  # where the face goes on it was the camera that moved
            self.cuts.add(number)
        if face is not None:
            self._before, self._last = (self._last if followed else None), face
            if not followed:
                self.jumps.add(number)
            self._pauses.found()
            why = self._judge.fault(face.points, frame.shape[1], frame.shape[0])
        self._followed = face is not None
        self.faces.append(face)
        self.why.append(why)

    def check(self) -> None:
        """Raises FaceError where the clip never showed as many faces as were asked for."""
        if self._last is None and self._most:
            check_face(self._most, self._face_index, "the video")

    # ---- finding

    def _started(self, frame: Frame) -> tuple[Face | None, Why]:
        """The face asked for, in the first frame with so many."""
        if is_blank(frame):
            return None, "no_face"
        found = self._finder.find(frame) if self._pauses.lost() else self._finder.detect(frame)
        self._most = max(self._most, len(found))
        if len(found) <= self._face_index:
            return None, "other_face" if found else "no_face"
        chosen = sorted(found, key=lambda face: -face.interocular_px)[self._face_index]
        face = self._follower.start(frame, chosen) or chosen
        self._appearance.learn(frame, face.points)
        return face, None

    def _follow(self, frame: Frame, last: Face, cut: bool) -> Face | None:
        """The face where it was in the frame before; None where it is another's, or jumped."""
        face = None if is_blank(frame) else self._follower.follow(frame, last)
        if face is None or not self._continues(face, last):
            return None
        likeness = self._appearance.likeness(frame, face.points) if cut else self._appearance.follow(frame, face.points)
        return face if likeness >= (ALIKE if cut else STILL_ALIKE) else None

    def _searched(self, frame: Frame, last: Face | None) -> tuple[Face | None, Why]:
        anyone = False
        for look in looks(frame, None if last is None else last.box, self._pauses.lost()):
            found = [_placed(face, look) for face in self._finder.detect(look.pixels)]
            anyone |= bool(found)
            best = max(found, key=lambda face: self._appearance.likeness(frame, face.points), default=None)
            if best is not None and self._appearance.likeness(frame, best.points) >= ALIKE:
                return self._follower.start(frame, best) or best, None
        return None, "other_face" if anyone else "no_face"

    def _continues(self, face: Face, last: Face) -> bool:
        """Whether a face goes on from where it was, as it was going."""
        expected = _middle(last) if self._before is None else 2 * _middle(last) - _middle(self._before)
        nearer = min(float(np.linalg.norm(_middle(face) - at)) for at in (expected, _middle(last)))
        stretched = face.interocular_px / max(last.interocular_px, 1e-3)
        return nearer < JUMP * last.interocular_px and 1 / STRETCH < stretched < STRETCH


def _middle(face: Face) -> NDArray[np.float32]:
    middle: NDArray[np.float32] = face.points[:, :2].mean(axis=0)
    return middle


def _placed(face: Face, look: Look) -> Face:
    """A face of a look, in pixels of the frame."""
    points = face.points / np.float32(look.scale)
    points[:, :2] += (look.x, look.y)
    return Face(points, face.blendshapes, face.yaw_deg, face.pitch_deg, face.roll_deg)
