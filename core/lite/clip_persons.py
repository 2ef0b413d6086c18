"""Keeps apart the faces that are seen at once in a clip, so that two persons who cross are not taken for each other.

Each face goes on the way it went, at its size; a face of the next frame belongs to the person whose way it fits best. For the person who is
followed it also counts how much alike it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_mesh import Face

Array = NDArray[np.float32]

NEWEST = 0.3
"""Share of the last step in the speed that a face is expected to keep."""
SPREAD = 0.15
"""By so much of itself the place where an unseen face may be grows with each frame."""
SIZE_WEIGHT, LIKENESS_WEIGHT = 2.0, 1.0
"""What a ratio of sizes (its logarithm) and a lack of likeness count, where being an eyes' distance away counts 1."""
MAX_COST = 1.5
OWN, NOBODY = -1, -2
IN_PLACE = 1.2
"""A face is in another's place within so many eyes' distances."""
FORGOTTEN_FRAMES = 50
NEAR, WATCHED_NEAR, WATCHED_FAR, WATCHED_ALONE = 4.0, 1, 5, 25
"""Another face within so many eyes' distances is looked for in every frame; one further away every fifth, new ones every second or so."""


@dataclass(eq=False)
class Way:
    """Where one face was last, and how it moved: pixels, pixels per frame, eyes' distance in pixels, frames since it was seen."""

    middle: Array
    speed: Array
    size: float
    unseen: int = 0

    @classmethod
    def of(cls, face: Face) -> Way:
        return cls(middle_of(face), np.zeros(2, np.float32), face.interocular_px)

    def seen(self, face: Face) -> None:
        step = (middle_of(face) - self.middle) / np.float32(self.unseen + 1)
        self.speed = self.speed + np.float32(NEWEST) * (step - self.speed)
        self.middle, self.size, self.unseen = middle_of(face), face.interocular_px, 0

    def away(self, face: Face) -> float:
        """How far a face of the next frame is from where this one is expected, in eyes' distances."""
        expected = self.middle + self.speed * np.float32(self.unseen + 1)
        return float(np.linalg.norm(middle_of(face) - expected)) / max(self.size, 1.0)

    def cost(self, face: Face) -> float:
        """How badly a face of the next frame fits: 0 where it is just where it was expected."""
        grown = abs(float(np.log(max(face.interocular_px, 1e-3) / max(self.size, 1e-3))))
        return self.away(face) / (1 + SPREAD * self.unseen) + SIZE_WEIGHT * grown


class Persons:
    """The person who is followed, and the others seen with them."""

    def __init__(self, own: Face, others: Sequence[Face]) -> None:
        self.own = Way.of(own)
        self._others = [Way.of(face) for face in others]
        self._since = 0
        self._cut = False

    def watch(self) -> bool:
        """Counts a frame in which the person was followed; True where the other faces should be looked for in it."""
        self._since += 1
        return self._since >= (WATCHED_NEAR if self.is_near else WATCHED_FAR if self._others else WATCHED_ALONE)

    def in_place(self, faces: Sequence[Face]) -> bool:
        """Whether one of these faces of others is where the person should be: before them, or after a cut."""
        return any(self._cut or self.own.away(face) < IN_PLACE for face in faces)

    @property
    def is_near(self) -> bool:
        """Whether another face is near the person's."""
        return any(np.linalg.norm(other.middle - self.own.middle) < NEAR * max(self.own.size, other.size) for other in self._others)

    def cut(self) -> None:
        """Another picture begins: nobody is where they were."""
        self._others = []
        self._cut = True

    def found(self, face: Face) -> None:
        """The person's face in this frame."""
        self.own.seen(face)
        self._cut = False

    def missed(self) -> None:
        """The person was not seen in a frame."""
        self.own.unseen += 1

    def own_face(self, faces: Sequence[Face], likeness: Callable[[Face], float], anywhere: bool = False) -> Face | None:
        """The person's face among those seen in a frame; None: theirs is not among them.

        anywhere: the person may be at any place and of any size.
        """
        whose = self._whose(faces, likeness, anywhere)
        return faces[whose.index(OWN)] if OWN in whose else None

    def see(self, faces: Sequence[Face], own: Face | None) -> None:
        """Goes on with the others' ways. faces: all that were seen in this frame. own: the person's, where it is among them.

        While the person is missing nobody new is taken for another: it may be them, half covered.
        """
        passed, self._since = self._since, 0
        for other in self._others:
            other.unseen += max(passed - 1, 0)
        rest = [face for face in faces if face is not own]
        whose = self._whose(rest, None)
        for n, other in enumerate(self._others):
            if n in whose:
                other.seen(rest[whose.index(n)])
            else:
                other.unseen += 1
        new = [] if own is None else [Way.of(face) for face, person in zip(rest, whose, strict=True) if person == NOBODY]
        self._others = [other for other in self._others if other.unseen < FORGOTTEN_FRAMES] + new

    def _whose(self, faces: Sequence[Face], likeness: Callable[[Face], float] | None, anywhere: bool = False) -> list[int]:
        """By face OWN, the number of the other, or NOBODY; the best fits first. likeness None: the person is not among them."""
        costs = [(other.cost(face), n, i) for n, other in enumerate(self._others) for i, face in enumerate(faces)]
        if likeness is not None:
            places = [0.0 if anywhere else self.own.cost(face) for face in faces]
            costs += [(LIKENESS_WEIGHT * (1 - likeness(face)) + places[i], OWN, i) for i, face in enumerate(faces)]
        whose = [NOBODY] * len(faces)
        for cost, person, i in sorted(costs):
            if cost < MAX_COST and whose[i] == NOBODY and person not in whose:
                whose[i] = person
        return whose


def middle_of(face: Face) -> Array:
    """(2,) of the mesh, pixels."""
    middle: Array = face.points[:, :2].mean(axis=0)
    return middle


def same_place(a: Face, b: Face) -> bool:
    """Whether two faces found in one frame are one."""
    return float(np.linalg.norm(middle_of(a) - middle_of(b))) < 0.4 * min(a.interocular_px, b.interocular_px)
