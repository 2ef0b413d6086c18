"""Reads the published configuration (`ditto_cfg/*.pkl`) into typed and checked values."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.models.plain_pickle import ConfigError, unpickle_plain

log = logging.getLogger(__name__)

MOTION_DIM = 265
MAX_WINDOW = 1000
"""Frames of a window of motion, at most."""
LARGEST_SIZES = {"width": 4096, "ff_width": 16384, "layers": 64, "heads": 64, "cond_layers": 16}


@dataclass(frozen=True)
class ComponentConfig:
    """One network. model_path: relative to the folder of the weights. force_ori_type: the published meaning, "use the auxiliary class"."""

    model_path: str
    device: str = ""
    force_ori_type: bool = False


@dataclass(frozen=True)
class FaceMeshConfig:
    """The 478-point landmarks: either the two networks, or one MediaPipe task file."""

    blaze_face_model_path: str = ""
    face_mesh_model_path: str = ""
    task_path: str = ""
    device: str = ""
    force_ori_type: bool = False


@dataclass(frozen=True)
class MotionConfig:
    """The motion diffusion and what its condition is made of.

    The last three are this project's own, of models that it trained (docs/training.md). context_frames: frames before the new ones that
    windows of live speech have, 0: all that overlap. causal: frames after those see nothing that comes after them. network: sizes of the
    network that are not the published ones, by the argument's name in `LMDM`.
    """

    model_path: str
    device: str = ""
    motion_feat_dim: int = MOTION_DIM
    audio_feat_dim: int = 1103
    seq_frames: int = 80
    use_emo: bool = True
    use_sc: bool = True
    use_eye_open: bool = True
    use_eye_ball: bool = True
    w2f_type: str = "hubert"
    context_frames: int = 0
    causal: bool = False
    network: Mapping[str, int] = field(default_factory=dict)

    @property
    def lmdm_arguments(self) -> dict[str, int]:
        """What `LMDM` is made with."""
        causal = {"causal_after": self.context_frames} if self.causal else {}
        return {"cond_dim": self.audio_feat_dim, "frames": self.seq_frames, **causal, **self.network}

    @property
    def condition_dim(self) -> int:
        """Length of a condition row with these blocks: speech 1024, emotion 8, eye opening 2, eye direction 6, keypoints 63."""
        return 1024 + 8 * self.use_emo + 2 * self.use_eye_open + 6 * self.use_eye_ball + 63 * self.use_sc


@dataclass(frozen=True, eq=False)
class SetupDefaults:
    """Defaults of a run. What a file does not set keeps the value here; meanings are those of the published `setup`.

    emo: class 0..7, a list of classes, a list of those per frame, or (m, 8) float32. v_min_max_for_clip: (rows, 265) float32, the first two
    rows minimum and maximum. delta_eye_arr: (n, 63) float32, a blink. ch_info: per-character values in place of the source's.
    seq_frames, trained_context: of the model, `seq_frames` and `context_frames` of MotionConfig.
    """

    max_size: int = 1920
    template_n_frames: int = -1
    crop_scale: float = 2.3
    crop_vx_ratio: float = 0.0
    crop_vy_ratio: float = -0.125
    crop_flag_do_rot: bool = True
    smo_k_s: int = 13
    emo: Any = 4
    eye_f0_mode: bool = False
    ch_info: Mapping[str, Any] | None = None
    overlap_v2: int = 10
    fix_kp_cond: int = 0
    fix_kp_cond_dim: tuple[int, int] | None = None
    sampling_timesteps: int = 50
    online_mode: bool = False
    v_min_max_for_clip: NDArray[np.float32] | None = None
    smo_k_d: int = 3
    N_d: int = -1
    use_d_keys: tuple[str, ...] | Mapping[str, float] | None = None
    relative_d: bool = True
    drive_eye: bool | None = None
    delta_eye_arr: NDArray[np.float32] | None = None
    delta_eye_open_n: int | tuple[int, ...] = 0
    fade_type: str = ""
    fade_out_keys: tuple[str, ...] | None = ("exp",)
    flag_stitching: bool = True
    ctrl_info: Any = field(default_factory=dict)
    overall_ctrl_info: Mapping[str, Any] = field(default_factory=dict)
    seq_frames: int = 80
    trained_context: int = 0


@dataclass(frozen=True, eq=False)
class DittoConfig:
    """A whole configuration file."""

    components: Mapping[str, ComponentConfig]
    face_mesh: FaceMeshConfig
    motion: MotionConfig
    defaults: SetupDefaults


COMPONENTS = (
    "insightface_det", "landmark106", "landmark203", "appearance_extractor", "motion_extractor",
    "stitch_network", "warp_network", "decoder", "hubert",
)  # fmt: skip
MOTION_KEYS = ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")


def load_config(path: Path) -> DittoConfig:
    """Reads and checks a configuration file. Raises ConfigError, which names the file and the first wrong entry."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error.strerror or error}.", "Fetch it again.") from error
    try:
        return parse_config(unpickle_plain(data))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", error.hint or "Delete it and fetch it again.") from error


def parse_config(raw: Any) -> DittoConfig:
    """Plain values -> typed ones. What has no meaning here is left out with a warning: a later publication may add to the file.

    Raises ConfigError for anything missing or out of range.
    """
    top = section(raw, "the file", {"base_cfg", "audio2motion_cfg"}, {"default_kwargs"})
    names = {f"{name}_cfg" for name in COMPONENTS}
    base = section(top["base_cfg"], "base_cfg", names | {"landmark478_cfg"}, set())
    components = {name: ComponentConfig(**component(base[f"{name}_cfg"], f"{name}_cfg")) for name in COMPONENTS}
    mesh, diffusion = face_mesh(base["landmark478_cfg"]), motion(top["audio2motion_cfg"])
    run = replace(defaults(top.get("default_kwargs") or {}), seq_frames=diffusion.seq_frames, trained_context=diffusion.context_frames)
    return DittoConfig(components, mesh, diffusion, run)


def component(raw: Any, where: str) -> dict[str, Any]:
    checks: dict[str, Check] = {"model_path": file_path, "device": text, "force_ori_type": flag}
    return typed(section(raw, where, {"model_path"}, set(checks)), where, checks)


def face_mesh(raw: Any) -> FaceMeshConfig:
    where = "landmark478_cfg"
    paths = {"blaze_face_model_path", "face_mesh_model_path", "task_path"}
    checks: dict[str, Check] = {**dict.fromkeys(paths, optional_path), "device": text, "force_ori_type": flag}
    out = FaceMeshConfig(**typed(section(raw, where, set(), set(checks)), where, checks))
    if not (out.task_path or (out.blaze_face_model_path and out.face_mesh_model_path)):
        raise ConfigError(f"{where} names neither a task file nor both networks.")
    return out


def motion(raw: Any) -> MotionConfig:
    where = "audio2motion_cfg"
    checks: dict[str, Check] = {
        "model_path": file_path, "device": text, "motion_feat_dim": whole(1), "audio_feat_dim": whole(1),
        "seq_frames": whole(2, MAX_WINDOW),
        "use_emo": flag, "use_sc": flag, "use_eye_open": flag, "use_eye_ball": flag, "w2f_type": text,
        "context_frames": whole(0, MAX_WINDOW), "causal": flag, "network": network_sizes,
    }  # fmt: skip
    out = MotionConfig(**typed(section(raw, where, {"model_path"}, set(checks)), where, checks))
    if out.motion_feat_dim != MOTION_DIM:
        raise ConfigError(f"{where}: motion_feat_dim is {out.motion_feat_dim}, not {MOTION_DIM}.")
    if out.audio_feat_dim != out.condition_dim:
        raise ConfigError(f"{where}: audio_feat_dim is {out.audio_feat_dim}, but its blocks make {out.condition_dim}.")
    if out.context_frames >= out.seq_frames or (out.causal and not out.context_frames):
        raise ConfigError(f"{where}: context_frames is {out.context_frames}, of a window of {out.seq_frames}; a causal model needs some.")
    if out.w2f_type != "hubert":
        raise ConfigError(f"{where}: w2f_type is {out.w2f_type!r}; only 'hubert' is known.")
    return out


def defaults(raw: Any) -> SetupDefaults:
    where = "default_kwargs"
    keys = one_of_keys(MOTION_KEYS)
    checks: dict[str, Check] = {
        "max_size": whole(-1), "template_n_frames": whole(-1), "crop_scale": number(0.1, 100), "crop_vx_ratio": number(-10, 10),
        "crop_vy_ratio": number(-10, 10), "crop_flag_do_rot": flag, "smo_k_s": whole(0), "emo": emotion, "eye_f0_mode": flag,
        "ch_info": maybe(character), "overlap_v2": whole(0, 79), "fix_kp_cond": whole(0), "fix_kp_cond_dim": maybe(span),
        "sampling_timesteps": whole(1, 1000), "online_mode": flag, "v_min_max_for_clip": maybe(table(MOTION_DIM, rows=2)),
        "smo_k_d": whole(0), "N_d": whole(-1), "use_d_keys": maybe(keys), "relative_d": flag, "drive_eye": maybe(flag),
        "delta_eye_arr": maybe(table(63, rows=1)),
        "delta_eye_open_n": gaps, "fade_type": choice("", "d0", "s"), "fade_out_keys": maybe(key_list), "flag_stitching": flag,
        "ctrl_info": controls, "overall_ctrl_info": plain_dict,
    }  # fmt: skip
    assert set(checks) == {f.name for f in fields(SetupDefaults)} - {"seq_frames", "trained_context"}  # noqa: S101 - a field without a check would be an unchecked value
    return SetupDefaults(**typed(section(raw, where, set(), set(checks)), where, checks))


Check = Callable[[Any], Any]
"""Takes a plain value; gives the typed one, or raises ValueError saying what it should be."""


def section(raw: Any, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(raw, dict) or not all(isinstance(k, str) for k in raw):
        raise ConfigError(f"{where} is not a set of named values.")
    for key in sorted(required - set(raw)):
        raise ConfigError(f"{where} has no {key}.")
    if unknown := sorted(set(raw) - required - optional):
        log.warning("the configuration's %s has entries that mean nothing here, which are left out: %s", where, brief(unknown))
    return {key: value for key, value in raw.items() if key not in unknown}


def typed(raw: dict[str, Any], where: str, checks: Mapping[str, Check]) -> dict[str, Any]:
    out = {}
    for key, value in raw.items():
        try:
            out[key] = checks[key](value)
        except ValueError as error:
            raise ConfigError(f"{where}: {key} is {brief(value)}; it must be {error}.") from error
    return out


def brief(value: Any) -> str:
    shown = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("text")
    return value


def network_sizes(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or not set(value) <= set(LARGEST_SIZES):
        raise ValueError(f"sizes by name: {', '.join(LARGEST_SIZES)}")
    return {name: whole(1, LARGEST_SIZES[name])(size) for name, size in value.items()}


def file_path(value: Any) -> str:
    if not text(value):
        raise ValueError("a file name")
    return str(value)


def optional_path(value: Any) -> str:
    return "" if value is None else text(value)


def flag(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise ValueError("true or false")


def whole(low: int, high: int = 1 << 31) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise ValueError(f"a whole number from {low}" + ("" if high == 1 << 31 else f" to {high}"))
        return int(value)

    return check


def number(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def choice(*values: str) -> Check:
    def check(value: Any) -> str:
        if value not in values:
            raise ValueError(f"one of {', '.join(repr(v) for v in values)}")
        return str(value)

    return check


def maybe(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def table(columns: int, rows: int) -> Check:
    def check(value: Any) -> NDArray[np.float32]:
        array = numeric(value)
        if array.ndim != 2 or array.shape[1] != columns or array.shape[0] < rows or not np.isfinite(array).all():
            raise ValueError(f"finite numbers, at least {rows} rows of {columns}")
        return array

    return check


def numeric(value: Any) -> NDArray[np.float32]:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise ValueError("an array of numbers")
    return array.astype(np.float32)


def emotion(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return table(8, rows=1)(value)
    wanted = "a class 0..7, a list of up to 7 of them, a list of such lists, or rows of 8 numbers"

    def label(item: Any) -> int:
        if isinstance(item, (bool, np.bool_)) or not isinstance(item, (int, np.integer)) or not 0 <= item <= 7:
            raise ValueError(wanted)
        return int(item)

    if not isinstance(value, (list, tuple)):
        return label(value)
    if value and all(isinstance(item, (list, tuple)) and item for item in value):
        return tuple(tuple(label(x) for x in item) for item in value)
    if not 1 <= len(value) <= 7:
        raise ValueError(wanted)
    return tuple(label(x) for x in value)


def character(value: Any) -> dict[str, Any]:
    """As published, of a character's frames the first counts; its eyes may move over another number of them. What else is there is left."""
    wanted = {"x_s_info_lst", "sc", "eye_open_lst", "eye_ball_lst"}
    if not isinstance(value, dict) or not wanted <= set(value) or not isinstance(value["x_s_info_lst"], (list, tuple)):
        raise ValueError(f"named values {', '.join(sorted(wanted))}")
    frames = [plain_dict(frame) for frame in value["x_s_info_lst"]]
    if not frames or not all(set(frame) >= set(MOTION_KEYS) for frame in frames):
        raise ValueError(f"frames with {', '.join(MOTION_KEYS)}")
    lists = {name: value[name] for name in ("eye_open_lst", "eye_ball_lst")}
    eyes = {name: tuple(numeric(v) for v in rows) for name, rows in lists.items() if isinstance(rows, (list, tuple, np.ndarray))}
    if len(eyes) != 2 or not all(eyes.values()):
        raise ValueError("eye values of 1 frame or more")
    return {"x_s_info_lst": tuple({k: numeric(f[k]) for k in MOTION_KEYS} for f in frames), "sc": numeric(value["sc"]), **eyes}


def span(value: Any) -> tuple[int, int]:
    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != 2:
        raise ValueError("two positions, start and end")
    start, end = (whole(0, MOTION_DIM)(v) for v in value)
    if start > end:
        raise ValueError("two positions, start before end")
    return start, end


def gaps(value: Any) -> int | tuple[int, ...]:
    if isinstance(value, (list, tuple)) and value:
        return tuple(whole(0)(v) for v in value)
    return int(whole(-(1 << 31))(value))


def key_list(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(v in MOTION_KEYS for v in value):
        raise ValueError(f"a list of {', '.join(MOTION_KEYS)}")
    return tuple(value)


def one_of_keys(keys: tuple[str, ...]) -> Check:
    def check(value: Any) -> tuple[str, ...] | dict[str, float]:
        if isinstance(value, dict):
            return {k: number(-math.inf, math.inf)(v) for k, v in zip(key_list(list(value)), value.values(), strict=True)}
        return key_list(value)

    return check


def plain_dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise ValueError("named values")
    return value


def controls(value: Any) -> Any:
    """Per frame: {frame: options}, or a list of options."""
    if isinstance(value, list) and all(isinstance(v, dict) for v in value):
        return tuple(value)
    if isinstance(value, dict) and all(isinstance(k, (int, np.integer)) and isinstance(v, dict) for k, v in value.items()):
        return {int(k): v for k, v in value.items()}
    raise ValueError("options per frame")
