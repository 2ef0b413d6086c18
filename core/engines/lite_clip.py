"""Clips in the lite engine: registers the face of every frame, and draws new lips into the frames as they are played."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import Face
from core.aux_models.person_mask import PersonFinder
from core.engines.base import RegisterCallback, Registration, Saved
from core.engines.lite_session import LiteMouthSession
from core.generation import SkipReason
from core.lite.calibration import UNCORRECTED, Calibration, calibrate
from core.lite.clip_background import ClipBackground
from core.lite.clip_faces import ClipFaces, track
from core.lite.clip_framing import clip_framed
from core.lite.clip_interior import KeptMouth, best_inside, candidates
from core.lite.clip_mouths import ClipMouths
from core.lite.clip_renderer import ClipRenderer
from core.lite.expression import Expression, spoken
from core.lite.mouth import LOUDNESS
from core.lite.photo_quality import face_warnings
from core.media.clip_reader import ClipReader
from core.media.source import Clip
from core.notices import notice
from core.optimization.resolution_optimization import Framed
from core.request import Controls, Framing, RenderOptions
from core.stage_times import stage
from core.types import FPS, Frame, Samples

MAX_RENDERERS = 2
"""Sizes kept ready per registration."""
GAP_UNREST, TURN_UNREST_DEG = 0.03, 12.0
"""Lips so far apart, over the distance of the eye corners, or a head turned so far, count as one."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrackedClip:
    """What is known of the n frames that a clip has at one rate. boxes: (n, 4) of the face, pixels. why: frames stay as they are."""

    mouths: ClipMouths
    boxes: NDArray[np.float32]
    why: tuple[SkipReason | None, ...]

    @classmethod
    def of(cls, faces: ClipFaces) -> TrackedClip:
        return cls(ClipMouths.of(faces), faces.boxes, faces.why)

    def between(self, places: NDArray[np.float64]) -> TrackedClip:
        """(m,) places among the frames, in fractions, as m frames."""
        nearest = places.round().astype(int)
        return TrackedClip(self.mouths.between(places), self.boxes[nearest], tuple(self.why[at] for at in nearest))

    @property
    def nbytes(self) -> int:
        return self.mouths.nbytes + self.boxes.nbytes

    @property
    def seen(self) -> NDArray[np.float32]:
        """The boxes of the frames whose mouth is drawn, (m, 4), m >= 1."""
        return self.boxes[self.mouths.weight > 0]


class LiteClipRegistration(Registration):
    """A clip and its face at 25 frames a second.

    inside: the picture of the mouth's inside. calm: number and picture of the frame whose lips are closed, as far as there is one.
    """

    def __init__(
        self,
        clip: Clip,
        tracked: TrackedClip,
        inside: KeptMouth,
        calm: tuple[int, Frame],
        warnings: tuple[str, ...],
        people: PersonFinder,
    ) -> None:
        self.clip, self.inside, self.calm, self.warnings, self._people = clip, inside, calm, warnings, people
        self.calibration = UNCORRECTED
        self.tracked = tracked
        self._renderers: dict[tuple[float, Framed], ClipRenderer] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        with self._lock:
            renderers = sum(renderer.nbytes for renderer in self._renderers.values())
            return len(self.clip.data) + self.inside.picture.nbytes + self.calm[1].nbytes + self.tracked.nbytes + renderers

    @property
    def face_box(self) -> tuple[float, float, float, float]:
        width, height = self.clip.width, self.clip.height
        x0, y0, x1, y1 = self.tracked.boxes[0].tolist()
        return x0 / width, y0 / height, x1 / width, y1 / height

    def framed(self, options: RenderOptions) -> Framed:
        """What a video with these options shows."""
        return clip_framed(self.clip.width, self.clip.height, self.tracked.seen, options)

    def at(self, fps: float) -> TrackedClip:
        """At another rate. Pictures of the clip that were not looked at lie between those beside them."""
        if fps == FPS:
            return self.tracked
        known, wanted = self.clip.shown(FPS), self.clip.shown(fps)
        return self.tracked.between(np.interp(wanted, known, np.arange(len(known))))

    def renderer(self, options: RenderOptions) -> ClipRenderer:
        """Of the frames that the clip has at the rate that is asked for."""
        fps = self.clip.output_fps(options.fps)
        key = fps, self.framed(options)
        with self._lock:
            if key not in self._renderers:
                if len(self._renderers) >= MAX_RENDERERS:
                    self._renderers.pop(next(iter(self._renderers)))
                self._renderers[key] = ClipRenderer(self.at(fps).mouths, self.inside, key[1])
            return self._renderers[key]

    def draw_calm(self, expression: Expression, options: RenderOptions) -> Frame:
        """One picture, of the frame whose lips are closed."""
        index, frame = self.calm
        drawn = self.renderer(dataclasses.replace(options, fps=FPS)).draw(frame, index, expression)
        behind, _ = self.background(options)
        return drawn if behind is None else behind(drawn)

    def background(self, options: RenderOptions) -> tuple[ClipBackground | None, tuple[str, ...]]:
        """What is put behind the person while the clip is played once; and a warning where nobody is found, so that nothing is."""
        if options.background == "keep":
            return None, ()
        behind, (index, frame), shown = ClipBackground(self._people.mask, options.background), self.calm, self.framed(options)
        scale = np.array([shown.width / shown.cut.width, shown.height / shown.cut.height] * 2)
        face = (self.tracked.boxes[index] - np.array([shown.cut.x, shown.cut.y] * 2)) * scale
        left, top, right, bottom = face.tolist()
        found = behind.finds(self.renderer(dataclasses.replace(options, fps=FPS)).shown(frame), (left, top, right, bottom))
        return (behind, ()) if found else (None, (notice("background_kept"),))

    def saved(self) -> Saved:
        tracked = self.tracked
        arrays, values = self.inside.saved()
        arrays |= {**tracked.mouths.arrays(), "boxes": tracked.boxes, "calm": self.calm[1]}
        arrays |= {"wanted": self.calibration.wanted, "gaps": self.calibration.gaps}
        return arrays, {**values, "why": tracked.why, "calm_index": self.calm[0], "warnings": self.warnings}

    @classmethod
    def restored(cls, saved: Saved, clip: Clip, people: PersonFinder) -> LiteClipRegistration:
        """Raises KeyError for what `saved` did not give, ValueError where it is not of as many frames as the clip has by now: the bound on
        a clip's length is a setting.
        """
        arrays, values = saved
        tracked = TrackedClip(ClipMouths.from_arrays(arrays), arrays["boxes"], tuple(values["why"]))
        if not clip.n_frames == len(tracked.why) == len(tracked.boxes) == len(tracked.mouths):
            raise ValueError(f"{len(tracked.why)} frames were registered, and the clip has {clip.n_frames}")
        inside, calm = KeptMouth.restored(arrays, values), (values["calm_index"], arrays["calm"])
        registration = cls(clip, tracked, inside, calm, tuple(values["warnings"]), people)
        registration.calibration = Calibration(arrays["wanted"], arrays["gaps"])
        return registration


def register_clip(
    clip: Clip, framing: Framing, finder: FaceFinder, people: PersonFinder, on_frame: RegisterCallback
) -> LiteClipRegistration:
    """Reads the clip twice: for the face, and for the frames that show the inside of the mouth and its lips at rest. Raises FaceError."""
    total = clip.n_frames

    def progress(done: int, _: int = 0) -> None:
        on_frame(done, total)

    faces = track(clip.frames(), finder, framing.face_index, FPS, progress)
    tracked = TrackedClip.of(faces)
    n_frames, calm = len(tracked.why), _calmest(faces, tracked.mouths)
    open_at = candidates(tracked.mouths, faces.yaw_deg) or [calm]
    opened: list[KeptMouth] = []
    still: Frame | None = None
    for index, frame in enumerate(islice(clip.frames(), max([calm, *open_at]) + 1)):
        if index in open_at:
            opened.append(KeptMouth.of(frame, tracked.mouths, index))
        if index == calm:
            still = frame
        progress(n_frames)
    if still is None:
        raise RuntimeError(f"the clip had {n_frames} frames, and no frame {calm} when it was read again")
    seen = Face(faces.points[calm], {}, float(faces.yaw_deg[calm]), float(faces.pitch_deg[calm]), float(faces.roll_deg[calm]))
    warnings = face_warnings(still, seen)
    registration = LiteClipRegistration(clip, tracked, best_inside(opened), (calm, still), warnings, people)
    registration.calibration = _calibrated(registration, finder, lambda: progress(n_frames))
    return registration


def _calmest(faces: ClipFaces, mouths: ClipMouths) -> int:
    """The frame that shows the lips closed and the face from the front, as far as there is one."""
    unrest = mouths.gaps() / GAP_UNREST + np.abs(faces.yaw_deg) / TURN_UNREST_DEG + np.abs(faces.pitch_deg) / TURN_UNREST_DEG
    return int(np.argmin(np.where(mouths.weight >= mouths.weight.max(), unrest, np.inf)))


def _calibrated(of: LiteClipRegistration, finder: FaceFinder, pause: Callable[[], None]) -> Calibration:
    """Drawn around the face of one frame alone, so that no other is larger."""
    tracked, (index, frame) = of.tracked, of.calm
    shown = clip_framed(of.clip.width, of.clip.height, tracked.boxes[index : index + 1], RenderOptions())
    renderer = ClipRenderer(tracked.mouths, of.inside, shown)

    def drawn(gap: float, spread: float) -> Frame:
        pause()
        return renderer.draw(frame, index, Expression(aperture=gap, spread=spread, smile=Controls().smile))

    return calibrate(drawn, finder.largest_mesh)


class LiteClipSession(LiteMouthSession):
    """The clip's frames, one after the other, with new lips. Between utterances the clip goes on, lips closed."""

    def __init__(self, registration: LiteClipRegistration, controls: Controls, options: RenderOptions) -> None:
        clip, shown = registration.clip, registration.framed(options)
        super().__init__(controls, clip.output_fps(options.fps))
        self._background, kept = registration.background(options)
        self.width, self.height, self.warnings = shown.width, shown.height, (*shown.warnings, *kept)
        tracked, cut = registration.at(self.fps), shown.cut
        self._renderer, self._why = registration.renderer(options), tracked.why
        self._boxes = (tracked.boxes - np.array([cut.x, cut.y] * 2)) * np.array([shown.width / cut.width, shown.height / cut.height] * 2)
        self._calibration = registration.calibration
        self._frames = ClipReader(clip, self.fps, options.longer, pause=lambda: self.pause())
        self.clip_frames = self._frames.n_frames

    def close(self) -> None:
        self._frames.close()

    def _drawn(self, row: Samples, controls: Controls) -> Frame:
        with stage("decode"):
            index, frame = next(self._frames)
        with stage("draw"):
            self.skipped = self._why[index]
            x0, y0, x1, y1 = self._boxes[index].tolist()
            self.face_box = x0, y0, x1, y1
            lips = self._speaking.step(spoken(row, controls, self._calibration), float(row[LOUDNESS]))
            drawn = self._renderer.draw(frame, index, lips, self.pause)
        if self._background is None:
            return drawn
        with stage("background"):
            return self._background(drawn)
