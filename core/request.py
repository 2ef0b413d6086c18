"""What a request asks for: the person, the recording, how the source is read, how the person acts and how the video is made.

All values are frozen; every default is written here, once.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.clip_options import Longer, Shorter, verify_clip
from core.errors import OptionError
from core.hand_landmarks import HandLandmarks, verify_landmarks
from core.picture_options import Aspect, Crop, verify_picture
from core.types import FPS, Audio, AudioStream, Photo, Source


class Default(enum.Enum):
    """Marks an option that was not given: the engine's default, or that of its configuration, holds. None is a value of its own."""

    DEFAULT = "default"


DEFAULT: Final = Default.DEFAULT


def check_honoured(options: Framing | Controls | RenderOptions, capabilities: frozenset[str], engine: str) -> None:
    """Raises OptionError for the first field that differs from its default and is not among the engine's `capabilities`."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name in COMMON_OPTIONS or field.name in capabilities or value is field.default:
            continue
        if isinstance(value, int | float | str) and value == field.default:
            continue
        text = f"The {engine} engine does not honour {field.name}."
        raise OptionError(
            text, "Leave it out, or choose another engine.", code="option_not_honoured", parameters={"name": field.name, "engine": engine}
        )


COMMON_OPTIONS = frozenset(
    {"face_index", "size", "max_size", "aspect", "crop", "seed", "crf", "label", "mark", "burn_captions", "transcript", "visemes"}
)
"""The options that every engine honours."""


@dataclass(frozen=True)
class Framing:
    """Which face of the source, and how source and face are read. A registration belongs to one framing.

    face_index: faces ordered from the largest (0) down. max_size: bound on the longer side of the frames worked on.
    landmarks: of the lite engine, where the face is, for photos in which none is found (`core.hand_landmarks`).
    Of the ditto engine, with their meaning in `SourceOptions`: template_n_frames, crop_scale, crop_vx_ratio, crop_vy_ratio,
    crop_flag_do_rot, smo_k_s.
    """

    face_index: int = 0
    landmarks: HandLandmarks | None = None
    max_size: int | Default = DEFAULT
    template_n_frames: int | Default = DEFAULT
    crop_scale: float | Default = DEFAULT
    crop_vx_ratio: float | Default = DEFAULT
    crop_vy_ratio: float | Default = DEFAULT
    crop_flag_do_rot: bool | Default = DEFAULT
    smo_k_s: int | Default = DEFAULT

    def verify(self) -> None:
        if self.face_index < 0:
            raise OptionError(
                f"face {self.face_index} does not exist.",
                "Faces are counted from 0, the largest.",
                code="face_negative",
                parameters={"value": self.face_index},
            )
        verify_landmarks(self.landmarks)
        if self.landmarks is not None and self.face_index:
            text = f"Both landmarks and face {self.face_index} are given."
            raise OptionError(text, "Leave one of the two out.", code="landmarks_and_face", parameters={"index": self.face_index})


@dataclass(frozen=True)
class Controls:
    """How the person acts. Only controls in an engine's `capabilities` may differ from their defaults.

    Of the lite engine. blink: blinks relative to normal, 0 (never) to 3. head_motion: sway and nods relative to normal, 0 (still) to 2.
    mouth: lip opening relative to normal, 0.3 to 1.5. smile: what is left of the source's while it speaks, 0 (relaxed) to 1 (all).
    gaze_x, gaze_y: where the eyes rest, -1 (viewer's left, up) to 1.

    Of the ditto engine, under their published names. emo, eye_f0_mode: see `ConditionOptions`; ch_info: another character whose motion is
    used (a mapping with x_s_info_lst, sc, eye_open_lst, eye_ball_lst), None: the source's own. use_d_keys, relative_d, drive_eye,
    delta_eye_arr, delta_eye_open_n, fade_type, fade_out_keys, flag_stitching, ctrl_info, overall_ctrl_info: see `MotionStitchOptions`.
    fade_in, fade_out: frames over which the motion fades in and out where fade_type says to what, 0 and below: none.
    """

    blink: float = 1.0
    head_motion: float = 1.0
    mouth: float = 1.0
    smile: float = 0.3
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    emo: int | Sequence[int] | Sequence[Sequence[int]] | NDArray[np.float32] | Default = DEFAULT
    eye_f0_mode: bool | Default = DEFAULT
    ch_info: Mapping[str, Any] | None | Default = DEFAULT
    use_d_keys: tuple[str, ...] | Mapping[str, float] | None | Default = DEFAULT
    relative_d: bool | Default = DEFAULT
    drive_eye: bool | None | Default = DEFAULT
    delta_eye_arr: ArrayLike | None | Default = DEFAULT
    delta_eye_open_n: int | Sequence[int] | Default = DEFAULT
    fade_type: str | Default = DEFAULT
    fade_out_keys: tuple[str, ...] | None | Default = DEFAULT
    fade_in: int | Default = DEFAULT
    fade_out: int | Default = DEFAULT
    flag_stitching: bool | Default = DEFAULT
    ctrl_info: Mapping[int, Mapping[str, Any]] | Sequence[Mapping[str, Any]] | Default = DEFAULT
    overall_ctrl_info: Mapping[str, Any] | Default = DEFAULT

    def verify(self, capabilities: frozenset[str], engine: str) -> None:
        """Raises OptionError for a value out of range, or for a control `engine` does not honour."""
        for name, (low, high) in CONTROL_RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:  # also catches NaN
                raise OptionError(
                    f"{name} is {value}.",
                    f"It must lie between {low:g} and {high:g}.",
                    code="option_out_of_range",
                    parameters={"name": name, "value": value, "low": low, "high": high},
                )
        check_honoured(self, capabilities, engine)


CONTROL_RANGES: dict[str, tuple[float, float]] = {
    "blink": (0.0, 3.0),
    "head_motion": (0.0, 2.0),
    "mouth": (0.3, 1.5),
    "smile": (0.0, 1.0),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
}

MIN_SIZE_PX, MAX_SIZE_PX = 64, 1920
MIN_CRF, MAX_CRF = 10, 40
MAX_TRANSCRIPT_CHARS = 10_000


@dataclass(frozen=True)
class RenderOptions:
    """How the video is made.

    size: shorter side of the picture in pixels (even, 64..1920), or "source" for the photo's own pixels.
    max_size: bound on the longer side when size is "source".
    aspect: proportions of the picture. "auto": those of the crop; without one a square, or the whole photo when size is "source".
    "source": the whole photo. crop: the part of the photo that is shown, cut to `aspect` around its middle, moved to the face where needed.
    seed: of everything random (blinks, sway); the same seed gives the same video. 0 .. 2**32 - 1.
    crf: H.264's constant rate factor of the file, MIN_CRF .. MAX_CRF: 6 less make it about twice as large; a stream looks the same.
    label: a small visible "AI" is drawn into every frame. mark: the imperceptible mark is.
    burn_captions: the words are drawn into the frames while they are said. transcript: what is said in a recording, in English, at most
    MAX_TRANSCRIPT_CHARS; the service and the command line turn it into the words and phones of the `Audio`. visemes: what the mouth does
    is told, too: of a file in JSON beside it, of a live session by events (`core.visemes`).
    background: of the lite engine, what is behind the person: "keep", "blur", a colour "#rrggbb", or a picture that fills the frame.
    Of video sources. fps: frames per second of the result, 10..60, or "source" for the clip's own constant rate. longer, shorter: what the
    picture does when the recording is longer or shorter than the clip (`core.clip_options`). keep_background: how loud the clip's own sound
    is under the speech, 0 (not heard) to 1 (as loud).
    Of the ditto engine, with their meaning in `Audio2MotionOptions`: online_mode, overlap_v2, sampling_timesteps, smo_k_d, fix_kp_cond,
    fix_kp_cond_dim, v_min_max_for_clip, context_frames, emit_tail; N_d: frames of the whole video where they are known beforehand, which
    the blinks are planned by.
    """

    size: int | Literal["source"] = 320
    max_size: int = 1920
    aspect: Aspect = "auto"
    crop: Crop | None = None
    background: str | Photo = "keep"
    seed: int = 1234
    crf: int = 18
    label: bool = False
    mark: bool = False
    burn_captions: bool = False
    transcript: str = ""
    visemes: bool = False
    fps: int | Literal["source"] = FPS
    longer: Longer = "bounce"
    shorter: Shorter = "cut"
    keep_background: float = 0.0
    online_mode: bool | Default = DEFAULT
    overlap_v2: int | Default = DEFAULT
    context_frames: int | Default = DEFAULT
    emit_tail: bool | Default = DEFAULT
    sampling_timesteps: int | Default = DEFAULT
    smo_k_d: int | Default = DEFAULT
    fix_kp_cond: int | Default = DEFAULT
    fix_kp_cond_dim: tuple[int, int] | None | Default = DEFAULT
    v_min_max_for_clip: ArrayLike | None | Default = DEFAULT
    N_d: int | Default = DEFAULT

    def verify(self) -> None:
        """Raises OptionError for the first value out of range."""
        for name, value in (("size", self.size), ("max_size", self.max_size)):
            if value == "source" and name == "size":
                continue
            if not isinstance(value, int) or value % 2 or not MIN_SIZE_PX <= value <= MAX_SIZE_PX:
                also = ' or "source"' if name == "size" else ""
                hint = f"It must be an even number from {MIN_SIZE_PX} to {MAX_SIZE_PX}{also}."
                raise OptionError(
                    f"{name} is {value}.",
                    hint,
                    code="size_out_of_range",
                    parameters={"name": name, "value": str(value), "low": MIN_SIZE_PX, "high": MAX_SIZE_PX},
                )
        verify_picture(self.aspect, self.crop, "keep" if isinstance(self.background, Photo) else self.background)
        verify_clip(self.fps, self.longer, self.shorter, self.keep_background)
        if not 0 <= self.seed < 2**32:
            hint = "It must lie between 0 and 4294967295."
            raise OptionError(
                f"seed is {self.seed}.",
                hint,
                code="option_out_of_range",
                parameters={"name": "seed", "value": self.seed, "low": 0, "high": 2**32 - 1},
            )
        if isinstance(self.crf, bool) or not isinstance(self.crf, int) or not MIN_CRF <= self.crf <= MAX_CRF:
            raise OptionError(
                f"crf is {self.crf!r}.",
                f"It must be a whole number from {MIN_CRF} to {MAX_CRF}.",
                code="option_out_of_range",
                parameters={"name": "crf", "value": str(self.crf)[:40], "low": MIN_CRF, "high": MAX_CRF},
            )
        if not isinstance(self.transcript, str) or len(self.transcript) > MAX_TRANSCRIPT_CHARS:
            raise OptionError(
                f"The transcript is longer than {MAX_TRANSCRIPT_CHARS} characters, or no text.",
                "Shorten it together with the recording.", code="transcript_too_long", parameters={"limit": MAX_TRANSCRIPT_CHARS},
            )  # fmt: skip
        for name, switch in (("label", self.label), ("mark", self.mark)):
            if not isinstance(switch, bool):
                raise OptionError(f"{name} is {switch!r}.", "It must be true or false.")
        for name, value in (("burn_captions", self.burn_captions), ("visemes", self.visemes)):
            if not isinstance(value, bool):
                raise OptionError(f"{name} is {value!r}.", "It must be true or false.")


@dataclass(frozen=True)
class Avatar:
    """A person that one owner registered; the token stands for them in later requests.

    token: tells nothing and cannot be guessed; good for its owner only. framing: how the source is read, for good. kind, width, height: of
    the source, pixels. sha256: of the source, as in Photo. created_s: Unix time. nbytes: on the disk. consent: the owner declared to have
    the consent of the person shown, when it was registered. warnings: as in Photo, and of its registration.
    """

    token: str
    owner: str
    name: str
    framing: Framing
    kind: Literal["photo", "video"]
    sha256: str
    width: int
    height: int
    created_s: float
    nbytes: int = 0
    consent: bool = False
    warnings: tuple[str, ...] = ()


def is_video(source: Source | Avatar) -> bool:
    """Whether the person moves already."""
    return source.kind == "video" if isinstance(source, Avatar) else not isinstance(source, Photo)


@dataclass(frozen=True, eq=False)
class Request:
    """A request for one video.

    source: a still, a video for engines that take one ("video" in `capabilities`), or an avatar, which brings its own framing.
    owner: the user who makes the request; data of one owner is never used for another.
    """

    audio: Audio | AudioStream
    source: Source | Avatar
    engine: str = "auto"
    framing: Framing = Framing()
    controls: Controls = Controls()
    options: RenderOptions = RenderOptions()
    owner: str = "local"
