"""Follows one person's face through the frames of a clip, and says of each frame why it cannot be used."""

from __future__ import annotations

import numpy as np

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_follower import FaceFollower
from core.aux_models.face_identity import ALIKE, Appearance
from core.aux_models.face_mesh import Face
from core.aux_models.face_search import Look, SearchPauses, is_blank, looks
from core.aux_models.landmarks import check_face
from core.aux_models.shown_frames import Why
from core.aux_models.usable_faces import FaceJudge, PictureCuts
from core.lite.clip_persons import Persons, Way, middle_of, same_place
from core.types import Frame

JUMP = 0.35
"""A followed face that is this part of its eyes' distance away from where it was, and from where it was going, is searched for anew."""
STRETCH = 1.2
"""So is one that grows or shrinks by this factor."""


class ClipTracker:
    """Takes a clip's frames in order. Not thread-safe. To be closed."""

    def __init__(self, finder: FaceFinder, face_index: int | None) -> None:
        self._finder, self._face_index = finder, face_index or 0
        self._follower = FaceFollower()
        self._appearance, self._pauses = Appearance(), SearchPauses()
        self._judge, self._cuts = FaceJudge(), PictureCuts()
        self._persons: Persons | None = None
        self._last: Face | None = None
        self._went_on = False
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
        cut = self._cuts.begins(frame)
        face, why, followed = self._found(frame, cut)
        if cut and not followed:  # where the face goes on it was the camera that moved
            self.cuts.add(len(self.faces))
        if face is not None:
            if not followed:
                self.jumps.add(len(self.faces))
            self._last = face
            self._pauses.found()
            why = self._judge.fault(face.points, frame.shape[1], frame.shape[0])
        self._went_on = face is not None
        self.faces.append(face)
        self.why.append(why)

    def check(self) -> None:
        """Raises FaceError where the clip never showed as many faces as were asked for."""
        if self._last is None and self._most:
            check_face(self._most, self._face_index, "the video")

    def _found(self, frame: Frame, cut: bool) -> tuple[Face | None, Why, bool]:
        """The face, why there is none, and whether it went on from the frame before."""
        if is_blank(frame):
            if self._persons is not None:
                self._persons.missed()
            return None, "no_face", False
        if self._persons is None or self._last is None:
            return *self._started(frame), False
        persons = self._persons
        if (face := self._followed(frame, self._last, persons, cut)) is not None:
            watched = face if not persons.watch() else self._watched(frame, face, persons)
            if watched is not None:
                persons.found(watched)
                return watched, None, watched is face
        self._appearance.lost()
        if cut:
            persons.cut()
        face, why = self._searched(frame, persons, anywhere=cut)
        if face is None:
            persons.missed()
        else:
            persons.found(face)
        return face, why, False

    def _started(self, frame: Frame) -> tuple[Face | None, Why]:
        """The face asked for, in the first frame with so many."""
        thorough = self._pauses.lost()
        found = self._finder.find(frame) if thorough else self._finder.detect(frame)
        if not found and thorough:
            found = next(filter(None, (self._seen(look) for look in looks(frame, None, thorough))), [])
        self._most = max(self._most, len(found))
        if len(found) <= self._face_index:
            return None, "other_face" if found else "no_face"
        found = sorted(found, key=lambda face: -face.interocular_px)
        chosen = found.pop(self._face_index)
        face = self._follower.start(frame, chosen) or chosen
        self._appearance.learn(frame, face.points)
        self._persons = Persons(face, found)
        return face, None

    def _followed(self, frame: Frame, last: Face, persons: Persons, cut: bool) -> Face | None:
        """The face where it was in the frame before; None where there is none, it is another's, or it jumped."""
        face = self._follower.follow(frame, last) if self._went_on else None
        if face is None or not _continues(face, last, persons.own):
            return None
        if cut:
            return face if self._appearance.likeness(frame, face.points) >= ALIKE else None
        return face if self._appearance.goes_on(frame, face.points, not persons.is_near) else None

    def _watched(self, frame: Frame, face: Face, persons: Persons) -> Face | None:
        """The followed face, or the one that is the person's instead, where others are near; None where it is another's."""
        around = next(iter(looks(frame, face.box, thorough=False)), None)
        faces = [] if around is None else self._seen(around)
        if not any(same_place(each, face) for each in faces):
            return face
        own = persons.own_face(faces, lambda each: self._appearance.likeness(frame, each.points))
        persons.see(faces, own)
        if own is None:
            return None
        return face if same_place(own, face) else self._follower.start(frame, own) or own

    def _searched(self, frame: Frame, persons: Persons, anywhere: bool) -> tuple[Face | None, Why]:
        def likeness(face: Face) -> float:
            return self._appearance.likeness(frame, face.points)

        faces: list[Face] = []
        own = None
        for look in looks(frame, None if self._last is None else self._last.box, self._pauses.lost()):
            found = self._seen(look)
            faces += [face for face in found if not any(same_place(face, other) for other in faces)]
            own = persons.own_face(found, likeness, anywhere)
            if own is not None and likeness(own) >= ALIKE:
                break
            own = None
        persons.see(faces, next((face for face in faces if own is not None and same_place(face, own)), None))
        if own is None:
            return None, "other_face" if persons.in_place(faces) else "no_face"
        return self._follower.start(frame, own) or own, None

    def _seen(self, look: Look) -> list[Face]:
        """The faces of a look, in pixels of the frame."""
        faces = []
        for face in self._finder.detect(look.pixels):
            points = face.points / np.float32(look.scale)
            points[:, :2] += (look.x, look.y)
            faces.append(Face(points, face.blendshapes, face.yaw_deg, face.pitch_deg, face.roll_deg))
        return faces


def _continues(face: Face, last: Face, way: Way) -> bool:
    """Whether a face is where it was, or where it was going, and of about the size it had."""
    away = min(float(np.linalg.norm(middle_of(face) - place)) for place in (middle_of(last), way.middle + way.speed))
    return away < JUMP * last.interocular_px and 1 / STRETCH < face.interocular_px / max(last.interocular_px, 1e-3) < STRETCH
