"""The published configuration is read without executing it, and only if every value in it makes sense."""

from __future__ import annotations

import copy
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.models.config import DittoConfig, load_config  # noqa: E402
from core.models.plain_pickle import ConfigError, unpickle_plain  # noqa: E402


def published() -> dict[str, Any]:
    """Like the online configuration that is published."""
    names = ("insightface_det", "landmark106", "landmark203", "hubert")
    base: dict[str, Any] = {f"{n}_cfg": {"model_path": f"aux_models/{n}.onnx", "device": "cuda", "force_ori_type": False} for n in names}
    for n in ("appearance_extractor", "motion_extractor", "stitch_network", "warp_network", "decoder"):
        base[f"{n}_cfg"] = {"model_path": f"models/{n}.pth", "device": "cuda"}
    base["landmark478_cfg"] = {"task_path": "aux_models/face_landmarker.task", "device": "cuda", "force_ori_type": True}
    return {
        "base_cfg": base,
        "audio2motion_cfg": {
            "model_path": "models/lmdm_v0.4_hubert.pth", "device": "cuda", "motion_feat_dim": 265, "audio_feat_dim": 1103,
            "seq_frames": 80, "use_emo": True, "use_sc": True, "use_eye_open": True, "use_eye_ball": True, "w2f_type": "hubert",
        },
        "default_kwargs": {
            "overlap_v2": 70, "sampling_timesteps": 10, "fix_kp_cond": 1, "fix_kp_cond_dim": [0, 202], "smo_k_d": 3,
            "overall_ctrl_info": {"delta_pitch": 2}, "online_mode": True, "emo": np.full((600, 8), 0.125, np.float32),
            "delta_eye_arr": np.zeros((15, 63)), "v_min_max_for_clip": np.stack([np.full(265, v) for v in (-1, 1, 0, 0)]),
            "crop_scale": np.float64(2.3), "use_d_keys": {"exp": 1.2, "pitch": 1},
        },
    }  # fmt: skip


def write(folder: Path, content: Any, protocol: int = 4) -> Path:
    path = folder / "v0.4_hubert_cfg.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_published_configuration_is_read_in_every_pickle_protocol(protocol: int, tmp_path: Path) -> None:
    config = load_config(write(tmp_path, published(), protocol))
    assert isinstance(config, DittoConfig)
    assert config.components["decoder"].model_path == "models/decoder.pth"
    assert config.face_mesh.task_path == "aux_models/face_landmarker.task"
    assert config.motion.condition_dim == 1103
    run = config.defaults
    assert (run.overlap_v2, run.sampling_timesteps, run.fix_kp_cond, run.fix_kp_cond_dim) == (70, 10, 1, (0, 202))
    assert run.online_mode is True
    assert run.emo.shape == (600, 8)
    assert run.emo.dtype == np.float32
    assert run.v_min_max_for_clip is not None
    assert run.v_min_max_for_clip[1, 0] == 1
    assert run.crop_scale == pytest.approx(2.3)
    assert run.use_d_keys == {"exp": 1.2, "pitch": 1.0}
    assert run.smo_k_s == 13


def test_defaults_of_a_run_are_those_of_the_published_setup(tmp_path: Path) -> None:
    content = published()
    del content["default_kwargs"]
    run = load_config(write(tmp_path, content)).defaults
    assert (run.emo, run.overlap_v2, run.sampling_timesteps, run.fade_out_keys, run.crop_vy_ratio) == (4, 10, 50, ("exp",), -0.125)


ROWS = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("array", [ROWS.astype(int), np.asfortranarray(ROWS), np.zeros((0, 3)), np.float32(2), np.array([True])])
@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_out_as_they_went_in(array: Any, protocol: int) -> None:
    found = unpickle_plain(pickle.dumps({"a": array, "o": OrderedDict(b=(1, [2.5, None, "x", b"y"]))}, protocol))
    np.testing.assert_array_equal(found["a"], array)
    assert found["a"].dtype == array.dtype
    assert found["o"] == {"b": (1, [2.5, None, "x", b"y"])}


class Harmful:
    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        import os

        return os.system, ("touch harm-was-done",)


class Value:
    """An object that is not a plain value."""


@pytest.mark.parametrize("content", [Harmful(), Value(), len, np.array([{}], dtype=object), np.dtype([("a", "i4")]), {1 + 2j}, Path("x")])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_anything_else_is_refused_and_not_executed(content: Any, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, {"base_cfg": content}, protocol)
    with pytest.raises(ConfigError, match=r"v0\.4_hubert_cfg\.pkl: "):
        load_config(path)
    assert not Path("harm-was-done").exists()


def test_an_array_must_be_as_large_as_it_says() -> None:
    data = pickle.dumps(np.zeros(4, np.float32), 2)
    at = next(position for opcode, value, position in pickletools.genops(data) if value == 4 and opcode.name == "BININT1")
    with pytest.raises(ConfigError, match="size does not fit its shape"):
        unpickle_plain(data[: at + 1] + b"\x05" + data[at + 2 :])


def test_a_small_file_cannot_unfold_without_end() -> None:
    bomb: list[Any] = [0] * 100
    for _ in range(20):
        bomb = [bomb] * 100
    with pytest.raises(ConfigError, match="more than 1000000 values"):
        unpickle_plain(pickle.dumps(bomb))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError):
        unpickle_plain(pickle.dumps(endless))


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"\x80\x04K", pickle.dumps(3)])
def test_damaged_files_are_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cfg.pkl"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"cfg\.pkl"):
        load_config(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pkl cannot be read"):
        load_config(tmp_path / "none.pkl")


WRONG: list[tuple[tuple[str, ...], Any, str]] = [
    (("base_cfg", "decoder_cfg", "model_path"), 3, "decoder_cfg: model_path is 3; it must be text"),
    (("base_cfg", "decoder_cfg", "model_path"), "", "it must be a file name"),
    (("base_cfg", "landmark478_cfg"), {"device": "cpu"}, "names neither a task file nor both networks"),
    (("audio2motion_cfg", "audio_feat_dim"), 1059, "audio_feat_dim is 1059, but its blocks make 1103"),
    (("audio2motion_cfg", "motion_feat_dim"), 266, "motion_feat_dim is 266, not 265"),
    (("audio2motion_cfg", "w2f_type"), "wavlm", "only 'hubert' is known"),
    (("audio2motion_cfg", "use_sc"), "yes", "use_sc is 'yes'; it must be true or false"),
    (("default_kwargs", "sampling_timesteps"), 0, "sampling_timesteps is 0; it must be a whole number from 1 to 1000"),
    (("default_kwargs", "sampling_timesteps"), True, "sampling_timesteps is True"),
    (("default_kwargs", "overlap_v2"), 80, "overlap_v2 is 80; it must be a whole number from 0 to 79"),
    (("default_kwargs", "crop_scale"), float("nan"), "crop_scale is nan"),
    (("default_kwargs", "emo"), 8, "emo is 8"),
    (("default_kwargs", "emo"), [1] * 8, "emo is"),
    (("default_kwargs", "emo"), np.zeros((3, 7)), "emo is an array of shape (3, 7)"),
    (("default_kwargs", "v_min_max_for_clip"), np.zeros((1, 265)), "at least 2 rows of 265"),
    (("default_kwargs", "delta_eye_arr"), np.full((15, 63), np.inf), "finite numbers"),
    (("default_kwargs", "fade_type"), "x", "one of '', 'd0', 's'"),
    (("default_kwargs", "fade_out_keys"), ["mouth"], "a list of scale, pitch"),
    (("default_kwargs", "use_d_keys"), {"mouth": 1}, "a list of scale, pitch"),
    (("default_kwargs", "fix_kp_cond_dim"), [5, 2], "start before end"),
    (("default_kwargs", "ctrl_info"), {"a": 1}, "options per frame"),
    (("default_kwargs", "ch_info"), {"sc": 1}, "ch_info is"),
]


def test_entries_that_mean_nothing_here_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = published()
    content["base_cfg"]["extra_cfg"] = {}
    content["base_cfg"]["decoder_cfg"]["colour"] = 3
    content["default_kwargs"]["surprise"] = 1
    config = load_config(write(tmp_path, content))
    assert config.components["decoder"].model_path == "models/decoder.pth"
    assert config.defaults.overlap_v2 == 70
    for entry in ("extra_cfg", "colour", "surprise"):
        assert entry in caplog.text


def test_an_entry_that_is_needed_and_misspelt_is_named(tmp_path: Path) -> None:
    content = published()
    content["base_cfg"]["decodr_cfg"] = content["base_cfg"].pop("decoder_cfg")
    with pytest.raises(ConfigError, match="base_cfg has no decoder_cfg"):
        load_config(write(tmp_path, content))


@pytest.mark.parametrize(("where", "value", "message"), WRONG)
def test_values_that_make_no_sense_are_named(where: tuple[str, ...], value: Any, message: str, tmp_path: Path) -> None:
    content = copy.deepcopy(published())
    place = content
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, content))
    assert message in str(caught.value)


def test_character_info_is_understood(tmp_path: Path) -> None:
    frame = {k: np.zeros((1, 3), np.float32) for k in ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")}
    eyes = {"eye_open_lst": [np.zeros((1, 2))] * 2, "eye_ball_lst": [np.zeros((1, 6))] * 2}
    content = published()
    content["default_kwargs"]["ch_info"] = {"x_s_info_lst": [frame] * 2, "sc": np.zeros(63), **eyes}
    character = load_config(write(tmp_path, content)).defaults.ch_info
    assert character is not None
    assert len(character["x_s_info_lst"]) == 2
    content["default_kwargs"]["ch_info"]["eye_open_lst"] = []
    with pytest.raises(ConfigError, match="eye values of 1 frame or more"):
        load_config(write(tmp_path, content))
    content["default_kwargs"]["ch_info"] |= {"x_s_info_lst": [{k: v for k, v in frame.items() if k != "kp"} | {"R": 0}], **eyes}
    with pytest.raises(ConfigError, match="frames with scale, pitch, yaw, roll, t, exp, kp"):
        load_config(write(tmp_path, content))


def test_a_character_may_bring_more_than_is_needed(tmp_path: Path) -> None:
    """The published pipeline saves whole registrations and reads four entries of them, and of the frames the first."""
    frame: dict[str, Any] = {k: np.zeros((1, 3), np.float32) for k in ("scale", "pitch", "yaw", "roll", "t", "exp", "kp")}
    content = published()
    content["default_kwargs"]["ch_info"] = {
        "x_s_info_lst": [frame | {"R": np.eye(3), "name": "x"}], "sc": np.zeros((1, 63)), "is_image_flag": False,
        "eye_open_lst": [np.zeros((1, 2))] * 3, "eye_ball_lst": np.zeros((3, 6)), "M_c2o_lst": [np.eye(3)],
    }  # fmt: skip
    character = load_config(write(tmp_path, content)).defaults.ch_info
    assert character is not None
    assert set(character) == {"x_s_info_lst", "sc", "eye_open_lst", "eye_ball_lst"}
    assert set(character["x_s_info_lst"][0]) == set(frame)
    assert len(character["eye_ball_lst"]) == 3
