"""Registers a photo or a video: computes once what the other stages need of it.

For every frame: where the face is, a 512 crop turned upright around it (`crop.py`), and from that crop the appearance, the motion and the
eyes: first landmarks -> crop A -> 203 landmarks -> crop B. In a video the 203 landmarks of a frame place crop A of the next one.

Of a video only numbers stay in memory; its pictures are put away as they come (`video_frames.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from core.atomic_components.crop import CROP_PX, Crop, halved, network_input
from core.atomic_components.pose import Array, Motion
from core.atomic_components.registration import MAX_STORE_BYTES, DittoRegistration, SourceFrame
from core.atomic_components.source_options import SourceOptions
from core.atomic_components.video_frames import Found, MotionFields, VideoFollower, VideoFrames
from core.aux_models.landmarks import LAYOUT_203, FaceDetector, Landmarks, check_face, check_whole, eye_attributes
from core.aux_models.upright import UprightPhoto, turn_warnings, turned_pixels, upright
from core.errors import FaceError, ImageError
from core.notices import notice
from core.optimization.resolution_optimization import bounded, source_size
from core.types import FPS, Frame

LANDMARK_PX = 224
LANDMARK_SCALE, LANDMARK_VY = 1.5, -0.1
"""Crop A, which the 203 landmarks are found in."""
MAX_ASTRAY = 0.3
"""The eyes of the mesh may lie this part of the crop away from those of the 203 landmarks; beyond, the landmarks have lost the face."""


def moving_average(rows: Array, k: int) -> Array:
    """(n, m) float32: each row averaged over `k` rows around it, cut off at the ends. k <= 1 changes nothing."""
    if k <= 1 or len(rows) <= 1:
        return rows
    return np.stack([rows[max(0, i - k // 2) : i + k // 2 + 1].mean(axis=0) for i in range(len(rows))])


class MeshFinder(Protocol):
    """`core.aux_models.face_mesh.FaceMesh`, or a stand-in."""

    def meshes(self, pixels: Frame) -> list[Array]:
        """(H, W, 3) uint8 RGB -> (478, 3) normalised points of each face; empty without one."""


class AvatarRegistrar:
    """Holds networks and models only; serves many registrations, from several threads where they do.

    appearance: (n, 3, 256, 256) RGB 0..1 -> (n, 32, 16, 64, 64). motion: the same input -> fields pitch, yaw, roll (n, 66), t (n, 3), exp
    (n, 63), scale (n, 1), kp (n, 63) (`core.models.MotionInfo`). Both are called on `device` with float32.
    detector: finds faces (`MeshDetector`, `InsightFaceDetector`). landmark203: (224, 224, 3) uint8 crop -> (203, 2) in its pixels.
    face_mesh: for the eyes. max_store_bytes: of the frames of one video on the disk; a longer video is used up to there.
    both: appearance and motion in one call, where that is quicker; else the appearance is computed when it is asked for.
    """

    def __init__(
        self,
        appearance: Callable[[torch.Tensor], torch.Tensor],
        motion: Callable[[torch.Tensor], Any],
        detector: FaceDetector,
        landmark203: Callable[[Frame], Array],
        face_mesh: MeshFinder,
        device: torch.device | str = "cpu",
        max_store_bytes: int = MAX_STORE_BYTES,
        both: Callable[[torch.Tensor], tuple[torch.Tensor, Any]] | None = None,
    ) -> None:
        self._both = both
        self._max_store_bytes = max_store_bytes
        self._appearance, self._motion = appearance, motion
        self._detector, self._landmark203, self._face_mesh = detector, landmark203, face_mesh
        self._device = device

    def register(
        self,
        source: Frame | Iterable[Frame],
        options: SourceOptions | None = None,
        face_index: int = 0,
        progress: Callable[[int], None] = lambda done: None,
    ) -> DittoRegistration:
        """A photo, (H, W, 3) uint8 RGB, or the frames of a video, which are read once, as they are needed.

        face_index: which face of the photo, or of the first frame with so many, counted from the largest. progress: told the frames done
        after each; what it raises ends the registration. Raises FaceError where there is no such face, or no frame of a video shows one
        that can be animated, ImageError where a video has no frames.
        """
        options = options or SourceOptions()
        if isinstance(source, np.ndarray):
            return self._photo(source, options, face_index, progress)
        return self._video(iter(source), options, face_index, progress)

    def _photo(self, photo: Frame, options: SourceOptions, face_index: int, progress: Callable[[int], None]) -> DittoRegistration:
        shown = upright(bounded(photo, options.max_size), self._detector)
        photo, frame, quarters = turned_pixels(photo, shown.quarters), shown.pixels, shown.quarters
        if options.keep_detail and 0 < options.max_size < max(photo.shape[:2]):
            photo, frame, face, again = self._detailed(photo, shown, options, face_index)
            quarters = (quarters + again) % 4
        else:
            face = _chosen(shown, face_index)
        found = self.find(frame, face, options)
        feature, motions = (None, self.motions([found.small])) if self._both is None else self._extracted(self._both, found.small)
        progress(1)
        registration = DittoRegistration(
            _frames([found], motions), motions["kp"][0], True, [frame], [found.small], self.extract, (photo.shape[1], photo.shape[0]),
            (*turn_warnings(quarters), *_warnings(found.crop.side_px)), quarters=quarters,
        )  # fmt: skip
        if feature is not None:
            registration.give_feature(0, feature)
        return registration

    def _video(
        self, source: Iterator[Frame], options: SourceOptions, face_index: int, progress: Callable[[int], None]
    ) -> DittoRegistration:
        def find(frame: Frame, first: Landmarks) -> Found:
            return self.find(frame, first, options)

        follower = VideoFollower(find, self._detector, face_index)
        kept = VideoFrames(self._max_store_bytes, self.motions)
        size, full = (0, 0), False
        limit = options.template_n_frames if options.template_n_frames > 0 else None
        for number, own in enumerate(itertools.islice(source, limit)):
            frame = bounded(own, options.max_size)
            if not kept.pictures.append(frame):
                full = True
                break
            if number == 0:
                size = own.shape[1], own.shape[0]
            kept.add(follower.step(frame))
            progress(number + 1)
        if not len(kept.pictures):
            raise ImageError("The video has no frames.", "Is the file complete?")
        shown = follower.shown()
        motions = kept.motions()
        sc = motions["kp"][0]
        smooth = {name: moving_average(rows, options.smo_k_s) for name, rows in motions.items()}
        warnings = _warnings(kept.side_px)
        if full:
            warnings += (notice("video_cut", seconds=f"{len(kept.pictures) / FPS:.0f}"),)
        return DittoRegistration(_frames(kept.found(), smooth), sc, False, kept.pictures, kept.crops, self.extract, size, warnings, shown)

    def _detailed(
        self, photo: Frame, shown: UprightPhoto[Landmarks], options: SourceOptions, face_index: int
    ) -> tuple[Frame, Frame, Landmarks, int]:
        """The photo; it at its bounded size (`shown`) where the crop has its 512 pixels there, else at the size where it has; the face in
        that; and the quarters by which both were turned further.
        """
        frame = shown.pixels
        try:
            face = _chosen(shown, face_index)
            if Crop.around(face, CROP_PX, options.crop_scale).side_px >= CROP_PX:
                return photo, frame, face, 0
        except FaceError:
            pass  # too small at this size, maybe
        closer = upright(photo, self._detector)
        photo, frame = closer.pixels, turned_pixels(frame, closer.quarters)
        face = _chosen(closer, face_index)
        longer = max(photo.shape[:2])
        wanted = min(longer, math.ceil(longer * CROP_PX / Crop.around(face, CROP_PX, options.crop_scale).side_px))
        if wanted > max(frame.shape[:2]):
            frame = cv2.resize(photo, source_size(photo.shape[1], photo.shape[0], wanted), interpolation=cv2.INTER_AREA)
        return photo, frame, face.scaled(frame.shape[1] / photo.shape[1], frame.shape[0] / photo.shape[0]), closer.quarters

    def find(self, frame: Frame, first: Landmarks, options: SourceOptions) -> Found:
        """The face that `first` marks in the frame, its crop and its eyes. Raises FaceError."""
        rough = Crop.around(first, LANDMARK_PX, LANDMARK_SCALE, 0.0, LANDMARK_VY)
        landmarks = Landmarks(rough.to_frame(self._landmark203(rough.pixels(frame))), LAYOUT_203)
        crop = Crop.around(
            landmarks, CROP_PX, options.crop_scale, options.crop_vx_ratio, options.crop_vy_ratio, options.crop_flag_do_rot
        )  # fmt: skip
        picture = crop.pixels(frame)
        mesh = self._mesh(picture, crop.to_crop(landmarks.eye_centre[None])[0])
        eye_open, eye_ball = eye_attributes(mesh[None])
        on_frame = crop.to_frame(mesh[:, :2] * np.float32(CROP_PX))
        (x0, y0), (x1, y1) = on_frame.min(axis=0).tolist(), on_frame.max(axis=0).tolist()
        points = np.concatenate([on_frame, mesh[:, 2:] * np.float32(crop.side_px)], axis=1)
        return Found(crop, halved(picture), landmarks, eye_open, eye_ball, (x0, y0, x1, y1), points)

    def _mesh(self, picture: Frame, eyes: Array) -> Array:
        """The mesh whose eyes are nearest to where the landmarks have them: a crop may show more than one face."""

        def apart(mesh: Array) -> float:
            return float(np.linalg.norm((mesh[33, :2] + mesh[263, :2]) * np.float32(CROP_PX / 2) - eyes))

        mesh = min(self._face_mesh.meshes(picture), key=apart, default=None)
        if mesh is None or apart(mesh) > MAX_ASTRAY * CROP_PX:
            raise FaceError(
                "A face was found, but not its eyes.",
                "Use a sharp, evenly lit picture that shows one person from the front.",
                code="face_without_eyes",
            )
        return mesh

    def motions(self, crops: Sequence[Frame]) -> dict[str, Array]:
        """n of (256, 256, 3) -> the motion by field, (n, m) float32."""
        with torch.inference_mode():
            return _on_machine(self._motion(network_input(crops).to(self._device)), len(crops))

    def _extracted(
        self, both: Callable[[torch.Tensor], tuple[torch.Tensor, Any]], crop: Frame
    ) -> tuple[torch.Tensor, dict[str, Array]]:
        """Appearance and motion of a photo's crop, as `extract` and `_motions` give them."""
        with torch.inference_mode():
            feature, info = both(network_input([crop]).to(self._device))
            return feature, _on_machine(info, 1)

    def extract(self, crop: Frame) -> torch.Tensor:
        """(256, 256, 3) uint8 RGB -> (1, 32, 16, 64, 64), its appearance."""
        with torch.inference_mode():
            return self._appearance(network_input([crop]).to(self._device))


def _chosen(photo: UprightPhoto[Landmarks], face_index: int) -> Landmarks:
    check_face(len(photo.faces), face_index)
    check_whole(photo.faces[face_index].points, photo.pixels)
    return photo.faces[face_index]


def _on_machine(info: Any, n: int) -> dict[str, Array]:
    return {name: torch.as_tensor(getattr(info, name)).float().cpu().numpy().reshape(n, -1) for name in MotionFields}


def _frames(found: Sequence[Found], motions: dict[str, Array]) -> list[SourceFrame]:
    return [
        SourceFrame(Motion.of({name: rows[i] for name, rows in motions.items()}), one.crop, one.eye_open, one.eye_ball, one.face_box)
        for i, one in enumerate(found)
    ]


def _warnings(side_px: float) -> tuple[str, ...]:
    """side_px: of the crop, in pixels of the frames."""
    if side_px < SMALL_CROP_PX:
        return (notice("crop_small", px=f"{side_px / 2.3:.0f}"),)
    return ()


SMALL_CROP_PX = 250
"""The crop shows 512 pixels; a source with less than half of that looks blurred."""
