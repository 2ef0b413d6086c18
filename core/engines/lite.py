"""The lite engine: animates a photo by face mesh, sound and image warp, and gives a clip new lips (`lite_clip.py`).

Needs nothing beyond the repository and a CPU.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.aux_models.face_finder import FaceFinder
from core.aux_models.face_mesh import Face
from core.aux_models.landmarks import check_face, check_whole
from core.aux_models.person_mask import PersonFinder
from core.aux_models.upright import UprightPhoto, upright, with_crop_turned
from core.engines.base import Engine, FrameCost, RegisterCallback, Registration, Saved, ignore_progress
from core.engines.capabilities import LITE, LITE_PHOTO_ONLY
from core.engines.lite_clip import LiteClipRegistration, LiteClipSession, register_clip
from core.engines.lite_session import LiteMouthSession
from core.hand_landmarks import HandLandmarks, hand_points
from core.lite.background import BackgroundChange
from core.lite.calibration import UNCORRECTED, Calibration, calibrate
from core.lite.expression import Expression, spoken
from core.lite.face_by_hand import face_by_hand
from core.lite.face_preview import FacePreview, preview_of
from core.lite.head_warp import HeadPose
from core.lite.hearing import RISE
from core.lite.motion import LifeMotion
from core.lite.mouth import JAW_WEIGHTS_PATH, LOUDNESS, WEIGHTS_PATH, MouthTracker
from core.lite.person_in_photo import PersonInPhoto
from core.lite.photo_quality import face_warnings
from core.lite.renderer import Renderer
from core.lite.speech_encoder import ENCODER_PATH
from core.lite.whole_mouth import WHOLE_PATH
from core.media.source import Clip
from core.notices import notice
from core.optimization.blas_threads import use_one_blas_thread
from core.optimization.opencv_threads import use_one_opencv_thread
from core.optimization.resolution_optimization import Framed, framed
from core.request import Controls, Framing, RenderOptions
from core.stage_times import stage
from core.types import Frame, Photo, Samples, Source

FORMAT = 12
"""Counts changes of this engine's code that change its frames; the mouth network's weights count by themselves."""
TRIALS = 3
ENCODING_S, DECODING_S, HEARING_S = 2e-8, 8e-9, 0.002
"""CPU seconds of a frame beside drawing it: for each of its pixels, for each of the clip's, and for its sound; as measured on a small
server."""
STILL_APERTURE, STILL_TURN_DEG = 0.7, 3.4
"""Of a picture that shows how far the lips open, and how far the head turns: vowels, and twice the spread of the sway."""
MAX_RENDERERS = 2
"""Sizes kept ready per registration."""


class LiteRegistration(Registration):
    """The photo, its face, and the renderers of the sizes asked for last."""

    def __init__(
        self, pixels: Frame, face: Face, warnings: tuple[str, ...], calibration: Calibration, people: PersonFinder | None = None,
        quarters: int = 0,
    ) -> None:  # fmt: skip
        self.pixels, self.face, self.warnings, self.calibration, self.quarters = pixels, face, warnings, calibration, quarters
        self._person = PersonInPhoto(pixels, face.box, (people or PersonFinder()).mask)
        self._renderers: dict[tuple[Framed, str], tuple[Renderer, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        with self._lock:
            renderers = sum(renderer.nbytes for renderer, _ in self._renderers.values())
            return self.pixels.nbytes + renderers + self._person.nbytes

    @property
    def face_box(self) -> tuple[float, float, float, float]:
        height, width = self.pixels.shape[:2]
        x0, y0, x1, y1 = self.face.box
        return x0 / width, y0 / height, x1 / width, y1 / height

    def renderer(self, options: RenderOptions) -> Renderer:
        return self.prepared(options)[0]

    def prepared(self, options: RenderOptions) -> tuple[Renderer, tuple[str, ...]]:
        """The renderer, and warnings of what could not be shown as it was asked for."""
        shown, background = self.framed(options), options.background
        key = shown, background.sha256 if isinstance(background, Photo) else background
        with self._lock:
            if key not in self._renderers:
                if len(self._renderers) >= MAX_RENDERERS:
                    self._renderers.pop(next(iter(self._renderers)))
                change = None if background == "keep" else BackgroundChange(self._person, shown.cut, background)
                renderer = Renderer(self.pixels, self.face, shown.cut, shown.width, shown.height, change)
                kept = (notice("background_kept"),) if change is not None and not change.person_found else ()
                self._renderers[key] = renderer, (*shown.warnings, *kept)
            return self._renderers[key]

    def draw_calm(self, expression: Expression, options: RenderOptions) -> Frame:
        """One picture."""
        return self.renderer(options).draw(expression)

    def saved(self) -> Saved:
        face, calibration = self.face, self.calibration
        arrays: dict[str, NDArray[Any]] = {"pixels": self.pixels, "points": face.points}
        arrays |= {"wanted": calibration.wanted, "gaps": calibration.gaps}
        angles = {"yaw_deg": face.yaw_deg, "pitch_deg": face.pitch_deg, "roll_deg": face.roll_deg}
        marked = {} if face.opening_unit_px is None else {"opening_unit_px": face.opening_unit_px, "eyes_seen": face.eyes_seen}
        return arrays, {"blendshapes": face.blendshapes, **angles, **marked, "warnings": self.warnings, "quarters": self.quarters}

    def framed(self, options: RenderOptions) -> Framed:
        """What a video with these options shows."""
        height, width = self.pixels.shape[:2]
        return framed(width, height, self.face.box, with_crop_turned(options, self.quarters))


class LiteSession(LiteMouthSession):
    """The frames of a photo."""

    def __init__(self, renderer: Renderer, calibration: Calibration, controls: Controls, seed: int, warnings: tuple[str, ...] = ()) -> None:
        super().__init__(controls)
        self.width, self.height, self.warnings = renderer.width, renderer.height, warnings
        self.face_box = renderer.face_box
        self._renderer = renderer
        self._calibration = calibration
        self._life = LifeMotion(controls, seed)

    def _drawn(self, row: Samples, controls: Controls) -> Frame:
        with stage("draw"):
            self._life.controls = controls
            life = self._life.step(float(row[LOUDNESS]), float(row[RISE]))
            lips = self._speaking.step(spoken(row, controls, self._calibration), float(row[LOUDNESS]))
            whole = dataclasses.replace(lips, blink=life.blink, gaze_x=life.gaze_x, gaze_y=life.gaze_y, pose=life.pose)
            return self._renderer.draw(whole, self.pause)


class LiteEngine(Engine):
    """Construction loads the face landmarker (about a second)."""

    name = "lite"
    capabilities = LITE
    photo_only = LITE_PHOTO_ONLY

    def __init__(self) -> None:
        use_one_blas_thread()
        use_one_opencv_thread()
        self._finder = FaceFinder()
        self._people = PersonFinder()
        self._revision = f"{FORMAT}.{_digest(WEIGHTS_PATH, JAW_WEIGHTS_PATH, ENCODER_PATH, WHOLE_PATH)}"

    @property
    def revision(self) -> str:
        return self._revision

    def warmup(self) -> None:
        tracker, second = MouthTracker(), np.zeros(16_000, np.float32)
        tracker.foresee(second)
        tracker.push(second)
        tracker.flush()

    def faces(self, photo: Photo, of_video: bool = False, landmarks: HandLandmarks | None = None) -> list[FacePreview]:
        """What a video of each face would show, the largest face first; or of the one that was marked by hand. of_video: it is a frame of
        one, which is not turned upright. landmarks: verified. Raises FaceError where there is none.
        """
        if landmarks is not None:
            face = _marked_face(photo, landmarks)
            return [preview_of(UprightPhoto(photo.pixels, [face]), face)]
        shown = UprightPhoto(photo.pixels, self._finder.find(photo.pixels)) if of_video else upright(photo.pixels, self._finder.find)
        check_face(len(shown.faces), 0)
        return [preview_of(shown, face) for face in shown.faces]

    def register(
        self, photo: Source, framing: Framing, on_frame: RegisterCallback = ignore_progress
    ) -> LiteRegistration | LiteClipRegistration:
        if not isinstance(photo, Photo):
            return register_clip(_clip(photo), framing, self._finder, self._people, on_frame)
        if framing.landmarks is not None:
            face = _marked_face(photo, framing.landmarks)
            return LiteRegistration(photo.pixels, face, face_warnings(photo.pixels, face), UNCORRECTED, self._people)
        shown = upright(photo.pixels, self._finder.find)
        check_face(len(shown.faces), framing.face_index)
        face = shown.faces[framing.face_index]
        check_whole(face.points, shown.pixels)
        warnings = (*shown.warnings, *face_warnings(shown.pixels, face))
        registration = LiteRegistration(shown.pixels, face, warnings, UNCORRECTED, self._people, shown.quarters)
        renderer = registration.renderer(RenderOptions())

        def drawn(gap: float, spread: float) -> Frame:
            on_frame(0, 1)
            return renderer.draw(Expression(aperture=gap, spread=spread, smile=Controls().smile))

        registration.calibration = calibrate(drawn, self._finder.largest_mesh)
        return registration

    def save(self, registration: Registration) -> Saved:
        return _own(registration).saved()

    def restore(self, saved: Saved, source: Callable[[], Source]) -> LiteRegistration | LiteClipRegistration:
        arrays, values = saved
        if "why" in values:
            return LiteClipRegistration.restored(saved, _clip(source()), self._people)
        angles = (values["yaw_deg"], values["pitch_deg"], values["roll_deg"])
        face = Face(arrays["points"], values["blendshapes"], *angles, values.get("opening_unit_px"), values.get("eyes_seen", True))
        calibration = Calibration(arrays["wanted"], arrays["gaps"])
        return LiteRegistration(arrays["pixels"], face, tuple(values["warnings"]), calibration, self._people, values["quarters"])

    def frame_cost(self, registration: Registration, options: RenderOptions) -> FrameCost | None:
        own = _own(registration)
        costs = []
        for _ in range(TRIALS):
            began_s = time.thread_time()
            pixels = own.draw_calm(Expression(aperture=0.6), options).shape
            costs.append(time.thread_time() - began_s)
        turn_s, decoding_s = min(costs), 0.0
        if isinstance(own, LiteClipRegistration):
            decoding_s = DECODING_S * own.clip.width * own.clip.height
        return FrameCost(turn_s + decoding_s + HEARING_S + ENCODING_S * pixels[0] * pixels[1], turn_s + decoding_s)

    def still(self, registration: Registration, controls: Controls, options: RenderOptions, shown: str) -> Frame:
        """One frame: speaking for "mouth" and "smile", lids closed for "blink", the head turned for "head_motion", else at rest, as a video
        begins.
        """
        own = _own(registration)
        turn, speaks = controls.head_motion if shown == "head_motion" else 0.0, shown in ("mouth", "smile")
        return own.draw_calm(
            Expression(
                aperture=own.calibration.gap(STILL_APERTURE * controls.mouth) if speaks else 0.0,
                smile=controls.smile if speaks else 1.0,
                blink=float(shown == "blink" and controls.blink > 0),
                gaze_x=controls.gaze_x,
                gaze_y=controls.gaze_y,
                pose=HeadPose(yaw=turn * STILL_TURN_DEG, roll=turn * STILL_TURN_DEG / 2),
            ),
            options,
        )

    def session(self, registration: Registration, controls: Controls, options: RenderOptions) -> LiteSession | LiteClipSession:
        own = _own(registration)
        controls.verify(self.capabilities, self.name)
        options.verify()
        if isinstance(own, LiteClipRegistration):
            return LiteClipSession(own, controls, options)
        renderer, warnings = own.prepared(options)
        return LiteSession(renderer, own.calibration, controls, options.seed, warnings)


def _marked_face(photo: Photo, landmarks: HandLandmarks) -> Face:
    height, width = photo.pixels.shape[:2]
    return face_by_hand(photo.pixels, hand_points(landmarks, width, height))


def _own(registration: Registration) -> LiteRegistration | LiteClipRegistration:
    if not isinstance(registration, LiteRegistration | LiteClipRegistration):
        raise TypeError(f"a {type(registration).__name__} was not made by the lite engine")
    return registration


def _clip(source: Source) -> Clip:
    if not isinstance(source, Clip):
        raise ValueError("a photo was kept where a video was registered")
    return source


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]
