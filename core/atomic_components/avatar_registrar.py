"""Registration: a photo or a video becomes what the other stages need of it, once.

For every frame: where the face is, a 512 crop turned upright around it, and from that crop the appearance, the motion and the eyes. The
crop's geometry is LivePortrait's (arXiv:2407.03168), its proportions are Ditto's (arXiv:2411.19509): first landmarks -> crop A -> 203
landmarks -> crop B. In a video the 203 landmarks of a frame place crop A of the next one.

Memory stays bounded for long videos: pictures lie in an unnamed temporary file, the 8 MB feature volumes are computed when they are asked
for and the last few are kept.
"""

from __future__ import annotations

import itertools
import math
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from core.atomic_components.pose import Array, Motion, SourceMotion, mirror_index
from core.atomic_components.source_options import SourceOptions
from core.aux_models.landmarks import LAYOUT_203, FaceDetector, Landmarks, check_face, check_whole, eye_attributes
from core.errors import FaceError, ImageError
from core.optimization.resolution_optimization import bounded, source_size
from core.types import FPS, Frame

CROP_PX = 512
INPUT_PX = 256
"""What appearance and motion are read from: the 512 crop at half its size."""
LANDMARK_PX = 224
LANDMARK_SCALE, LANDMARK_VY = 1.5, -0.1
"""Crop A, which the 203 landmarks are found in."""
MOTION_BATCH = 4
"""Crops whose motion is read at once: on a CPU each takes 0.15 s, and a registration can be cancelled only between batches."""
MAX_STORE_BYTES = 4 * 2**30
MAX_FEATURES = 16
"""Feature volumes kept per registration, 8 MB each in float32."""
MAX_ASTRAY = 0.3
"""The eyes of the mesh may lie this part of the crop away from those of the 203 landmarks; beyond, the landmarks have lost the face."""
MIN_FACE_PX = 4.0
"""Landmarks that span less mark no face."""

MotionFields = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut out of a frame, turned and scaled.

    m_o2c, m_c2o: (3, 3) float32, pixels of the frame to pixels of the crop, and back. size_px: its side, in its pixels.
    """

    m_o2c: Array
    m_c2o: Array
    size_px: int

    @classmethod
    def around(
        cls, landmarks: Landmarks, size_px: int, scale: float, vx_ratio: float = 0.0, vy_ratio: float = 0.0, rotate: bool = True
    ) -> Crop:
        """The crop whose side is `scale` times the larger extent of the landmarks, along the axes of the face, around their middle.

        rotate False keeps the crop's place and size and only leaves out the turn. Raises FaceError where the landmarks span nothing.
        """
        points = landmarks.points
        down = landmarks.mouth_centre - landmarks.eye_centre
        length = float(np.linalg.norm(down))
        down = down / np.float32(length) if length > 1e-3 else np.array([0, 1], np.float32)
        right = np.array([down[1], -down[0]], np.float32)
        axes = np.stack([right, down], axis=1)
        origin = points.mean(axis=0)
        along = (points - origin) @ axes
        low, high = along.min(axis=0), along.max(axis=0)
        side = (high - low).max() * np.float32(scale)
        if not np.isfinite(side) or side < MIN_FACE_PX * scale:
            raise FaceError("The landmarks found mark no face.", "Use a sharp, evenly lit photo that shows one person from the front.")
        # float32 and this order throughout: the matrix then equals the published one to the last bit, and with it every pixel of the crop.
        middle = (low + high) / np.float32(2)
        centre = origin + right * middle[0] + down * middle[1]
        centre = centre + right * np.float32(vx_ratio * side) + down * np.float32(vy_ratio * side)
        angle = math.acos(min(1.0, max(-1.0, float(right[0])))) if rotate else 0.0
        angle = -angle if right[1] < 0 else angle
        cos, sin, factor, (cx, cy) = math.cos(angle), math.sin(angle), size_px / side, centre
        x = size_px / 2 - factor * (cos * cx + sin * cy)
        y = size_px / 2 - factor * (cos * cy - sin * cx)
        m_o2c = np.array([[factor * cos, factor * sin, x], [-factor * sin, factor * cos, y], [0, 0, 1]], np.float32)
        return cls(m_o2c, np.linalg.inv(m_o2c), size_px)

    @property
    def side_px(self) -> float:
        """Its side in pixels of the frame."""
        return self.size_px / math.hypot(float(self.m_o2c[0, 0]), float(self.m_o2c[0, 1]))

    def pixels(self, frame: Frame) -> Frame:
        """(size_px, size_px, 3) uint8; black where it reaches over the frame's edge."""
        cut: Frame = cv2.warpAffine(frame, self.m_o2c[:2], (self.size_px, self.size_px), flags=cv2.INTER_LINEAR, borderValue=0)
        return cut

    def to_frame(self, points: Array) -> Array:
        """(n, 2) in pixels of the crop -> in pixels of the frame."""
        return moved(points, self.m_c2o)

    def to_crop(self, points: Array) -> Array:
        """(n, 2) in pixels of the frame -> in pixels of the crop."""
        return moved(points, self.m_o2c)


def moved(points: Array, matrix: Array) -> Array:
    """(n, 2) points through a (3, 3) affine matrix."""
    out: Array = points @ matrix[:2, :2].T + matrix[:2, 2]
    return out


def network_input(crops: Sequence[Frame]) -> torch.Tensor:
    """n of (256, 256, 3) uint8 RGB -> (n, 3, 256, 256) float32 0..1."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def halved(crop: Frame) -> Frame:
    """(512, 512, 3) uint8 -> (256, 256, 3), averaged."""
    small: Frame = cv2.resize(crop, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    return small


def moving_average(rows: Array, k: int) -> Array:
    """(n, m) float32: each row averaged over `k` rows around it, cut off at the ends. k <= 1 changes nothing."""
    if k <= 1 or len(rows) <= 1:
        return rows
    return np.stack([rows[max(0, i - k // 2) : i + k // 2 + 1].mean(axis=0) for i in range(len(rows))])


class MeshFinder(Protocol):
    """`core.aux_models.face_mesh.FaceMesh`, or a stand-in."""

    def meshes(self, pixels: Frame) -> list[Array]:
        """(H, W, 3) uint8 RGB -> (478, 3) normalised points of each face; empty without one."""


class Pictures(Protocol):
    """Pictures of one shape, by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...


class PictureFile:
    """Pictures of one shape in a temporary file without a name, which vanishes with this object. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_STORE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._file: Any = tempfile.TemporaryFile()
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._shape: tuple[int, ...] = ()
        self._n = 0

    def append(self, picture: Frame) -> bool:
        """Adds one picture; False where there is no room for it. Raises ImageError where its shape is not that of the others."""
        self._shape = self._shape or picture.shape
        if picture.shape != self._shape:
            was, now = (f"{shape[1]}×{shape[0]}" for shape in (self._shape, picture.shape))
            raise ImageError(f"The video changes its size from {was} to {now} pixels at frame {self._n + 1}.", "Save it again at one size.")
        if (self._n + 1) * picture.nbytes > self._max_bytes:
            return False
        try:
            with self._lock:
                self._file.seek(self._n * picture.nbytes)
                self._file.write(np.ascontiguousarray(picture).data)
                self._file.flush()
        except OSError as error:
            where = tempfile.gettempdir()
            raise ImageError(f"The video's frames cannot be kept in {where} ({error.strerror}).", "Make room there.") from error
        self._n += 1
        return True

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Frame:
        if not 0 <= index < self._n:
            raise IndexError(index)
        picture = np.empty(self._shape, np.uint8)
        with self._lock:
            self._file.seek(index * picture.nbytes)
            self._file.readinto(picture.reshape(-1).data)
        return picture


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """What is kept in memory of one frame.

    crop: the 512 crop. eye_open: (1, 2), eye_ball: (1, 6) float32, `eye_attributes`.
    face_box: x0, y0, x1, y1 of the face oval, pixels of the frame.
    """

    motion: Motion
    crop: Crop
    eye_open: Array
    eye_ball: Array
    face_box: tuple[float, float, float, float]

    @property
    def m_c2o(self) -> Array:
        """(3, 3) float32, pixels of the crop to pixels of the frame."""
        return self.crop.m_c2o


class DittoRegistration:
    """A registered source. Thread-safe; serves any number of sessions.

    frames: one SourceFrame per frame. motion: the same as the motion stages want it. width, height: of the frames, in pixels.
    source_width, source_height: before they were bounded. warnings: as in Photo.
    Numbers of frames (`index`) are those of the source; `index(i)` tells which one frame i of the result uses.
    """

    def __init__(
        self,
        frames: Sequence[SourceFrame],
        sc: Array,
        is_image: bool,
        pictures: Pictures,
        crops: Pictures,
        extract: Callable[[Frame], torch.Tensor],
        source_size_px: tuple[int, int],
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.frames = tuple(frames)
        self.is_image = is_image
        self.motion = SourceMotion(
            [frame.motion for frame in frames],
            sc,
            np.concatenate([frame.eye_open for frame in frames]),
            np.concatenate([frame.eye_ball for frame in frames]),
            is_image,
        )
        self.height, self.width = pictures[0].shape[:2]
        self.source_width, self.source_height = source_size_px
        self.warnings = warnings
        self._pictures, self._crops, self._extract = pictures, crops, extract
        self._features: OrderedDict[int, torch.Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.frames)

    def index(self, i: int) -> int:
        """Number of the source frame that frame `i` of the result uses: a video plays forth and back."""
        return mirror_index(i, len(self.frames))

    def picture(self, index: int) -> Frame:
        """(height, width, 3) uint8 RGB, the frame that the crop is put back into. Not to be written to."""
        return self._pictures[index]

    def crop(self, index: int) -> Frame:
        """(256, 256, 3) uint8 RGB, what the networks see."""
        return self._crops[index]

    def feature(self, index: int) -> torch.Tensor:
        """(1, 32, 16, 64, 64), the frame's appearance on the device of the extractor; computed when asked for, the last few are kept."""
        with self._lock:
            if index in self._features:
                self._features.move_to_end(index)
                return self._features[index]
        feature = self._extract(self._crops[index])  # outside the lock: two sessions may compute the same once, none waits for another
        self.give_feature(index, feature)
        return feature

    def give_feature(self, index: int, feature: torch.Tensor) -> None:
        """Spares `feature` the work, where it is known from before."""
        with self._lock:
            self._features[index] = feature
            while len(self._features) > MAX_FEATURES:
                self._features.popitem(last=False)

    @property
    def face_box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the face, the mean over the frames: what the small output is framed by."""
        x0, y0, x1, y1 = np.mean([frame.face_box for frame in self.frames], axis=0).tolist()
        return x0, y0, x1, y1

    @property
    def nbytes(self) -> int:
        """Memory held, on the machine and on the device; pictures of a video lie on the disk and do not count."""
        with self._lock:
            features = sum(feature.numel() * feature.element_size() for feature in self._features.values())
        pictures = self._pictures[0].nbytes + self._crops[0].nbytes if self.is_image else 0
        return features + pictures + 2048 * len(self.frames)


@dataclass(frozen=True, eq=False)
class _Found:
    """One frame after its face was found."""

    crop: Crop
    small: Frame
    landmarks: Landmarks
    eye_open: Array
    eye_ball: Array
    face_box: tuple[float, float, float, float]


class AvatarRegistrar:
    """Holds networks and models only; serves many registrations, from several threads where they do.

    appearance: (n, 3, 256, 256) RGB 0..1 -> (n, 32, 16, 64, 64). motion: the same input -> fields pitch, yaw, roll (n, 66), t (n, 3), exp
    (n, 63), scale (n, 1), kp (n, 63) (`core.models.MotionInfo`). Both are called on `device` with float32.
    detector: finds faces (`MeshDetector`, `InsightFaceDetector`). landmark203: (224, 224, 3) uint8 crop -> (203, 2) in its pixels.
    face_mesh: for the eyes. max_store_bytes: of the frames of one video on the disk; a longer video is used up to there.
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
    ) -> None:
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

        face_index: which face of the photo or of the first frame, counted from the largest. progress: told the frames done after each;
        what it raises ends the registration. Raises FaceError where there is no such face, or a video loses it (the message names
        the frame), ImageError where a video has no frames.
        """
        options = options or SourceOptions()
        if isinstance(source, np.ndarray):
            return self._photo(source, options, face_index, progress)
        return self._video(iter(source), options, face_index, progress)

    def _photo(self, photo: Frame, options: SourceOptions, face_index: int, progress: Callable[[int], None]) -> DittoRegistration:
        frame = bounded(photo, options.max_size)
        if options.keep_detail and 0 < options.max_size < max(photo.shape[:2]):
            frame, face = self._detailed(photo, frame, options, face_index)
        else:
            face = self._first(frame, face_index)
        found = self._find(frame, face, options)
        motions = self._motions([found.small])
        progress(1)
        return DittoRegistration(
            _frames([found], motions), motions["kp"][0], True, [frame], [found.small], self.extract, (photo.shape[1], photo.shape[0]),
            _warnings(found.crop.side_px),
        )  # fmt: skip

    def _video(
        self, source: Iterator[Frame], options: SourceOptions, face_index: int, progress: Callable[[int], None]
    ) -> DittoRegistration:
        pictures, crops = PictureFile(self._max_store_bytes), PictureFile(self._max_store_bytes)
        every: list[_Found] = []
        parts: list[dict[str, Array]] = []
        waiting: list[Frame] = []
        size, full = (0, 0), False
        limit = options.template_n_frames if options.template_n_frames > 0 else None
        for number, own in enumerate(itertools.islice(source, limit)):
            frame = bounded(own, options.max_size)
            if not pictures.append(frame):
                full = True
                break
            if number == 0:
                size = own.shape[1], own.shape[0]
                found = self._find(frame, self._first(frame, face_index, "the first frame of the video"), options)
            else:
                found = self._follow(frame, every[-1].landmarks, options, number)
            small = found.small
            crops.append(small)
            waiting.append(small)
            every.append(_without_picture(found))
            if len(waiting) == MOTION_BATCH:
                parts.append(self._motions(waiting))
                waiting = []
            progress(number + 1)
        if not every:
            raise ImageError("The video has no frames.", "Is the file complete?")
        if waiting:
            parts.append(self._motions(waiting))
        motions = {name: np.concatenate([part[name] for part in parts]) for name in MotionFields}
        sc = motions["kp"][0]
        smooth = {name: moving_average(rows, options.smo_k_s) for name, rows in motions.items()}
        warnings = _warnings(float(np.mean([found.crop.side_px for found in every])))
        if full:
            warnings += (f"Only the first {len(every) / FPS:.0f} seconds of the video are used; it plays forth and back.",)
        return DittoRegistration(_frames(every, smooth), sc, False, pictures, crops, self.extract, size, warnings)

    def _first(self, frame: Frame, face_index: int, where: str = "the photo") -> Landmarks:
        faces = self._detector(frame)
        check_face(len(faces), face_index, where)
        check_whole(faces[face_index].points, frame, where)
        return faces[face_index]

    def _detailed(self, photo: Frame, frame: Frame, options: SourceOptions, face_index: int) -> tuple[Frame, Landmarks]:
        """`frame`, the photo at its bounded size, where the crop has its 512 pixels there; else the photo at the size where it has."""
        try:
            face = self._first(frame, face_index)
            if Crop.around(face, CROP_PX, options.crop_scale).side_px >= CROP_PX:
                return frame, face
        except FaceError:
            pass  # too small at this size, maybe
        face = self._first(photo, face_index)
        longer = max(photo.shape[:2])
        wanted = min(longer, math.ceil(longer * CROP_PX / Crop.around(face, CROP_PX, options.crop_scale).side_px))
        if wanted > max(frame.shape[:2]):
            frame = cv2.resize(photo, source_size(photo.shape[1], photo.shape[0], wanted), interpolation=cv2.INTER_AREA)
        return frame, face.scaled(frame.shape[1] / photo.shape[1], frame.shape[0] / photo.shape[0])

    def _follow(self, frame: Frame, last: Landmarks, options: SourceOptions, number: int) -> _Found:
        """The face of the frame before, found again; where the landmarks have lost it, the detector is asked for the nearest face."""
        try:
            return self._find(frame, last, options)
        except FaceError:
            where = last.points.mean(axis=0)
            faces = sorted(self._detector(frame), key=lambda face: float(np.linalg.norm(face.points.mean(axis=0) - where)))
            try:
                if faces:
                    return self._find(frame, faces[0], options)
            except FaceError:
                pass
            raise FaceError(
                f"The face is lost in frame {number + 1} of the video ({number / FPS:.2f} s).",
                "Use a video that shows the face from the front throughout, or only the part before.",
            ) from None

    def _find(self, frame: Frame, first: Landmarks, options: SourceOptions) -> _Found:
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
        return _Found(crop, halved(picture), landmarks, eye_open, eye_ball, (x0, y0, x1, y1))

    def _mesh(self, picture: Frame, eyes: Array) -> Array:
        """The mesh whose eyes are nearest to where the landmarks have them: a crop may show more than one face."""

        def apart(mesh: Array) -> float:
            return float(np.linalg.norm((mesh[33, :2] + mesh[263, :2]) * np.float32(CROP_PX / 2) - eyes))

        mesh = min(self._face_mesh.meshes(picture), key=apart, default=None)
        if mesh is None or apart(mesh) > MAX_ASTRAY * CROP_PX:
            raise FaceError(
                "A face was found in the photo, but not its eyes.", "Use a sharp, evenly lit photo that shows one person from the front."
            )
        return mesh

    def _motions(self, crops: Sequence[Frame]) -> dict[str, Array]:
        """n of (256, 256, 3) -> the motion by field, (n, m) float32."""
        with torch.inference_mode():
            info = self._motion(network_input(crops).to(self._device))
            return {name: torch.as_tensor(getattr(info, name)).float().cpu().numpy().reshape(len(crops), -1) for name in MotionFields}

    def extract(self, crop: Frame) -> torch.Tensor:
        """(256, 256, 3) uint8 RGB -> (1, 32, 16, 64, 64), its appearance."""
        with torch.inference_mode():
            return self._appearance(network_input([crop]).to(self._device))


def _without_picture(found: _Found) -> _Found:
    """The crop of a video's frame lies in a file; in memory it would add up."""
    return _Found(found.crop, np.empty((0, 0, 3), np.uint8), found.landmarks, found.eye_open, found.eye_ball, found.face_box)


def _frames(found: Sequence[_Found], motions: dict[str, Array]) -> list[SourceFrame]:
    return [
        SourceFrame(Motion.of({name: rows[i] for name, rows in motions.items()}), one.crop, one.eye_open, one.eye_ball, one.face_box)
        for i, one in enumerate(found)
    ]


def _warnings(side_px: float) -> tuple[str, ...]:
    """side_px: of the crop, in pixels of the frames."""
    if side_px < SMALL_CROP_PX:
        return (f"The face is small (about {side_px / 2.3:.0f} pixels): a larger or closer photo looks sharper.",)
    return ()


SMALL_CROP_PX = 250
"""The crop shows 512 pixels; a source with less than half of that looks blurred."""
