"""The data that is kept of a registered photo or video.

Memory stays bounded for long videos: pictures lie in an unnamed temporary file, the 8 MB feature volumes are computed when they are asked
for and the last few are kept.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from core.atomic_components.crop import Crop
from core.atomic_components.pose import Array, Motion, SourceMotion
from core.aux_models.shown_frames import ShownFrames
from core.clip_options import clip_index
from core.errors import ImageError, disk_error
from core.optimization.kept_arrays import KeptArrays
from core.types import Frame

MAX_STORE_BYTES = 4 * 2**30
MAX_FEATURES = 16
"""Feature volumes kept per registration, 8 MB each in float32."""
MAX_LISTENING_BYTES = 48 * 2**20
"""Of what is kept of a person who listens: the 75 pictures of one session at 320×320 take 23 MB."""


class Pictures(Protocol):
    """Pictures of one shape, by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...


_HINT = "Name a folder that can be written with TMPDIR."


class PictureFile:
    """Pictures of one shape in a temporary file without a name, which vanishes with this object. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_STORE_BYTES) -> None:
        self._max_bytes = max_bytes
        try:
            self._file: Any = tempfile.TemporaryFile()
        except OSError as error:
            raise disk_error(error, "The video's frames cannot be kept in the temporary folder", _HINT) from error
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
            raise disk_error(error, f"The video's frames cannot be kept in {tempfile.gettempdir()}", _HINT) from error
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
    """The data of one source frame that is kept in memory.

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
    source_width, source_height: before they were bounded. shown: which frames are animated, and how much of it is seen. warnings: as in
    Photo.
    Numbers of frames (`index`) are those of the source; `index(i)` tells which one frame i of the result uses.
    listening: motion and pictures of the person listening, which every session would make the same; by what decides them.
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
        shown: ShownFrames | None = None,
        quarters: int = 0,
    ) -> None:
        """shown: which frames of a video are animated; None: all. quarters: as of `UprightPhoto`."""
        self.frames = tuple(frames)
        self.shown = shown or ShownFrames((None,) * len(frames), np.ones(len(frames), np.float32))
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
        self.warnings, self.quarters = warnings, quarters
        self._pictures, self._crops, self._extract = pictures, crops, extract
        self.listening = KeptArrays(MAX_LISTENING_BYTES)
        self._features: OrderedDict[int, torch.Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.frames)

    def index(self, i: int) -> int:
        """Number of the source frame that frame `i` of the result uses: a video plays forth and back."""
        return clip_index(i, len(self.frames), "bounce")

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
        """x0, y0, x1, y1 of the face, the mean over the frames that are animated: what the small output is framed by."""
        boxes = [frame.face_box for frame, why in zip(self.frames, self.shown.why, strict=True) if why is None]
        x0, y0, x1, y1 = np.mean(boxes, axis=0).tolist()
        return x0, y0, x1, y1

    @property
    def nbytes(self) -> int:
        """Memory held, on the machine and on the device; pictures of a video lie on the disk and do not count."""
        with self._lock:
            features = sum(feature.numel() * feature.element_size() for feature in self._features.values())
        pictures = self._pictures[0].nbytes + self._crops[0].nbytes if self.is_image else 0
        return features + pictures + self.listening.nbytes + 2048 * len(self.frames)
