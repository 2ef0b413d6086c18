"""The table of all options that a request may give by name, with their values, defaults and meaning.

Pages, server, clients and documentation are made from it. What a value may be is decided by the types that hold them (core/request.py and
the stages of an engine); a test holds the two together.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from core.clip_options import MAX_FPS, MIN_FPS
from core.engines.capabilities import CAPABILITIES
from core.picture_options import ASPECTS
from core.request import (
    COMMON_OPTIONS,
    CONTROL_RANGES,
    DEFAULT,
    MAX_CRF,
    MAX_SIZE_PX,
    MAX_TRANSCRIPT_CHARS,
    MIN_CRF,
    MIN_SIZE_PX,
    Controls,
    Framing,
    RenderOptions,
)


@dataclasses.dataclass(frozen=True)
class OptionEntry:
    """One option. values: what it may be, in words. schema: the same as a JSON schema. group: framing (fixed when a person is registered),
    controls (may change while a live session runs) or render (fixed when a video or session begins).
    """

    name: str
    group: str
    values: str
    meaning: str
    schema: dict[str, Any]

    @property
    def default(self) -> Any:
        """The value that holds where it is left out; `DEFAULT` where the engine decides."""
        return getattr(_GROUPS[self.group], self.name, None)

    @property
    def engines(self) -> tuple[str, ...]:
        """Those that honour it."""
        return tuple(name for name, honoured in CAPABILITIES.items() if self.name in honoured | COMMON_OPTIONS)


_GROUPS: dict[str, Any] = {"framing": Framing, "controls": Controls, "render": RenderOptions}
_SIDE: dict[str, Any] = {"type": "integer", "minimum": MIN_SIZE_PX, "maximum": MAX_SIZE_PX, "multipleOf": 2}


def _whole(group: str, name: str, low: int, high: int, meaning: str) -> OptionEntry:
    return OptionEntry(name, group, f"whole number, {low} to {high}", meaning, {"type": "integer", "minimum": low, "maximum": high})


def _number(group: str, name: str, low: float, high: float, meaning: str) -> OptionEntry:
    return OptionEntry(name, group, f"number, {low:g} to {high:g}", meaning, {"type": "number", "minimum": low, "maximum": high})


def _switch(group: str, name: str, meaning: str) -> OptionEntry:
    return OptionEntry(name, group, "true, false", meaning, {"type": "boolean"})


def _control(name: str, meaning: str) -> OptionEntry:
    return _number("controls", name, *CONTROL_RANGES[name], meaning)


OPTION_TABLE: tuple[OptionEntry, ...] = (
    OptionEntry(
        "size", "render", f'even number, {MIN_SIZE_PX} to {MAX_SIZE_PX}, or "source"',
        'shorter side of the video, pixels; the longer is at most 1920; "source": the photo\'s own pixels',
        {"anyOf": [_SIDE, {"const": "source"}]},
    ),
    OptionEntry("max_size", "render", f"even number, {MIN_SIZE_PX} to {MAX_SIZE_PX}", "bound on the longer side, pixels", _SIDE),
    OptionEntry(
        "aspect", "render", '"auto", "1:1", "9:16", "16:9", "4:5", "source"',
        'width to height, around the face; "source": the whole photo; "auto": as the crop, else 1:1, at size "source" the whole photo',
        {"enum": ["auto", *ASPECTS, "source"]},
    ),
    OptionEntry(
        "crop", "render", "four numbers, 0 to 1, or null",
        "the part of the photo that is shown: left, top, width, height, in shares of its sides; moved where the face is not in it",
        {"anyOf": [
            {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 4, "maxItems": 4}, {"type": "null"}
        ]},
    ),
    OptionEntry(
        "background", "render", '"keep", "blur", or a colour "#rrggbb"',
        "what is behind the person; kept, and told, where nobody is found; a picture is handed in as a file of its own",
        {"type": "string", "pattern": "^(keep|blur|#[0-9a-fA-F]{6})$"},
    ),
    OptionEntry(
        "seed", "render", 'whole number, 0 to 4294967295, or "random"', "of blinks and sway; the same seed gives the same video",
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**32 - 1}, {"const": "random"}]},
    ),
    _whole("render", "crf", MIN_CRF, MAX_CRF, "H.264's constant rate factor: less is finer; 6 less is about twice the bytes"),
    _switch("render", "label", 'a small "AI" in the picture; where the deployment sets it, it cannot be left out'),
    _switch("render", "mark", "an imperceptible mark in the picture; where the deployment sets it, it cannot be left out"),
    _switch("render", "burn_captions", "the words in the picture while they are said; where it is known when; not in live sessions"),
    _switch("render", "visemes", "what the mouth does in numbers, for other avatars: of a video a JSON file, of a live session events"),
    OptionEntry(
        "transcript", "render", f"text, at most {MAX_TRANSCRIPT_CHARS} characters",
        "of a recording: what is said in it, in English: the lips and captions then follow its words; not in live sessions",
        {"type": "string", "maxLength": MAX_TRANSCRIPT_CHARS},
    ),
    OptionEntry(
        "fps", "render", f'whole number, {MIN_FPS} to {MAX_FPS}, or "source"',
        'of a video: frames per second; "source": the clip\'s own constant rate, at most 60',
        {"anyOf": [{"type": "integer", "minimum": MIN_FPS, "maximum": MAX_FPS}, {"const": "source"}]},
    ),
    OptionEntry(
        "longer", "render", '"bounce", "loop", "freeze"',
        "of a video: what it does when the recording is longer: plays forth and back, again from the start, or its last frame stays",
        {"enum": ["bounce", "loop", "freeze"]},
    ),
    OptionEntry(
        "shorter", "render", '"cut", "rest"', "of a video: after a shorter recording: nothing, or the rest of it with a closed mouth",
        {"enum": ["cut", "rest"]},
    ),
    _number("render", "keep_background", 0, 1, "of a video: how loud its own sound is under the speech; 0: not heard, 1: as loud"),
    OptionEntry(
        "face_index", "framing", "whole number from 0", "which face of the photo; 0 is the largest", {"type": "integer", "minimum": 0}
    ),
    OptionEntry(
        "landmarks", "framing", "six points [x, y], 0 to 1, or null",
        "of a photo, for a face that is not found: left eye, right eye, left and right corner of the mouth (the viewer's left and right), "
        "lips (the middle of the mouth) and chin, in shares of the upright photo's width and height; instead of face_index",
        {"anyOf": [
            {"type": "array", "minItems": 6, "maxItems": 6, "items": {
                "type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": 2}},
            {"type": "null"},
        ]},
    ),
    _control("blink", "of a photo: blinks, relative to normal; 0: never"),
    _control("head_motion", "of a photo: sway and nods, relative to normal; 0: still"),
    _control("mouth", "opening of the lips, relative to normal"),
    _control("smile", "how much of the source's smile is left while it speaks; 0: relaxed, 1: as in the source"),
    _control("gaze_x", "of a photo: where the eyes rest, from the viewer's left to right"),
    _control("gaze_y", "of a photo: the same, from up to down"),
    OptionEntry(
        "emo", "controls", "name, number 0 to 7, list of them, rows of eight weights",
        "emotion: angry, disgust, fear, happy, neutral, sad, surprise, contempt; a list mixes them, lists of lists: per frame", {},
    ),
    _whole("render", "sampling_timesteps", 1, 1000, "denoising steps of the motion model: fewer are faster"),
    _switch("render", "online_mode", "motion made window by window while the speech comes in"),
    _whole("render", "overlap_v2", 0, 79, "frames that two windows of motion share"),
    _whole("render", "context_frames", 0, 79, "with online_mode, frames before the new ones in a window of motion; 0: all that overlap"),
    _switch("render", "emit_tail", "with online_mode, motion is shown without waiting for the next window to be faded in: a shorter delay"),
    _whole("render", "smo_k_d", 0, 80, "frames over which scale, angles and position of the head are averaged"),
    _whole("render", "fix_kp_cond", 0, 1_000_000, "every so many windows start from the source's motion; 0: never"),
    OptionEntry(
        "fix_kp_cond_dim", "render", "two whole numbers, or null", "range of motion dimensions that go on from the last frame all the same",
        {"anyOf": [{"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}, {"type": "null"}]},
    ),
    OptionEntry(
        "v_min_max_for_clip", "render", "two rows of 265 numbers, or null", "lower and upper bounds of every row of motion",
        {"type": ["array", "null"]},
    ),
    _whole("render", "N_d", -1, 100_000_000, "frames of the video, for planned blinks in a stream; -1: not known"),
    _whole("framing", "template_n_frames", -1, 1_000_000, "frames of a source video that are used; -1: all"),
    _number("framing", "crop_scale", 0.5, 10.0, "side of the crop, over the extent of the face"),
    _number("framing", "crop_vx_ratio", -1.0, 1.0, "shift of the crop along the eyes, in sides"),
    _number("framing", "crop_vy_ratio", -1.0, 1.0, "shift of the crop from eyes to mouth, in sides"),
    _switch("framing", "crop_flag_do_rot", "the crop is turned upright"),
    _whole("framing", "smo_k_s", 0, 1000, "frames over which a source video's motion is averaged"),
    _switch("controls", "eye_f0_mode", "eyes as open as in the source's first frame, not as in each"),
    OptionEntry(
        "ch_info", "controls", "x_s_info_lst, sc, eye_open_lst, eye_ball_lst by name, or null",
        "another character, whose motion is used instead of the source's", {"type": ["object", "null"]},
    ),
    OptionEntry(
        "use_d_keys", "controls", "names, or factors by name, or null",
        "what comes from the motion: exp, pitch, yaw, roll, t, scale; the rest stays the source's", {"type": ["array", "object", "null"]},
    ),
    _switch("controls", "relative_d", "motion is added to the source's; false: it replaces it"),
    OptionEntry(
        "drive_eye", "controls", "true, false, null", "the motion moves the eyes too; null: of photos only", {"type": ["boolean", "null"]}
    ),
    OptionEntry(
        "delta_eye_arr", "controls", "rows of 63 numbers, or null", "one blink, its first row the resting eye", {"type": ["array", "null"]}
    ),
    OptionEntry(
        "delta_eye_open_n", "controls", "whole number, or a list",
        "frames between blinks; below 0: no blinks, 0: 60 to 100 at random, a list: in turn", {"type": ["integer", "array"]},
    ),
    OptionEntry(
        "fade_type", "controls", '"", "d0", "s"', "what the motion fades from and to: nothing, its first frame, the source",
        {"enum": ["", "d0", "s"]},
    ),
    OptionEntry(
        "fade_out_keys", "controls", "names, or null", "what fades: as in use_d_keys, and kp; null: all", {"type": ["array", "null"]}
    ),
    OptionEntry(
        "fade_in", "controls", "whole number", "frames over which the motion fades in; 0 and below: none", {"type": "integer"}
    ),
    OptionEntry("fade_out", "controls", "whole number", "frames over which the motion fades out", {"type": "integer"}),
    _switch("controls", "flag_stitching", "the stitching network holds the head to the shoulders"),
    OptionEntry(
        "ctrl_info", "controls", "controls by frame number, or a list of them",
        "single frames: vad_alpha, delta_ and alpha_ of pitch, yaw and roll, delta_exp, fade_alpha, fade_out_keys",
        {"type": ["object", "array"]},
    ),
    OptionEntry("overall_ctrl_info", "controls", "the same of every frame", "for what a frame's own leave open", {"type": "object"}),
)  # fmt: skip


def shown_default(entry: OptionEntry) -> str:
    """The default as JSON would write it, or "engine's"."""
    value = entry.default
    if value is DEFAULT:
        return "engine's"
    return str(value).lower() if isinstance(value, bool) else str(value)
