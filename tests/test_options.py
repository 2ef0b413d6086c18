"""Options by name, presets, and who honours what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.engines.base import Engine
from core.errors import OptionError
from core.options import PRESETS, preset, read_assignments, read_file, read_options
from core.request import DEFAULT, Controls, RenderOptions, Request
from core.types import Audio, Photo

DITTO_OPTIONS = {
    "max_size", "template_n_frames", "crop_scale", "crop_vx_ratio", "crop_vy_ratio", "crop_flag_do_rot", "smo_k_s", "emo", "eye_f0_mode",
    "ch_info", "overlap_v2", "fix_kp_cond", "fix_kp_cond_dim", "sampling_timesteps", "online_mode", "v_min_max_for_clip", "smo_k_d", "N_d",
    "use_d_keys", "relative_d", "drive_eye", "delta_eye_arr", "delta_eye_open_n", "fade_type", "fade_out_keys", "flag_stitching",
    "ctrl_info", "overall_ctrl_info",
}  # fmt: skip
"""Of the published `setup`."""


def test_values_go_where_they_belong() -> None:
    options = read_options({"seed": 7, "max_size": 512, "emo": "Happy", "crop_scale": 2.5, "sampling_timesteps": 10})
    assert (options.render.seed, options.render.max_size, options.framing.max_size) == (7, 512, 512)
    assert (options.controls.emo, options.framing.crop_scale, options.render.sampling_timesteps) == (3, 2.5, 10)
    assert options.render.overlap_v2 is DEFAULT


def test_every_published_option_exists() -> None:
    for name in DITTO_OPTIONS:
        with pytest.raises(OptionError, match=r"There is no option '.*'\. Is"):
            read_options({name + "_": 1})


def test_json_kinds_become_what_is_meant() -> None:
    options = read_options(
        {
            "emo": [[1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0]],
            "fix_kp_cond_dim": [0, 202],
            "ctrl_info": {"3": {"delta_yaw": 4}},
            "fade_out_keys": ["exp", "yaw"],
        }
    )
    assert isinstance(options.controls.emo, np.ndarray)
    assert options.controls.emo.shape == (2, 8)
    assert options.render.fix_kp_cond_dim == (0, 202)
    assert options.controls.ctrl_info == {3: {"delta_yaw": 4}}
    assert options.controls.fade_out_keys == ("exp", "yaw")
    assert read_options({"emo": ["happy", 4]}).controls.emo == [3, 4]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling_timestep": 3}, "sampling_timesteps"),
        ({"emo": "cheerful"}, "angry"),
        ({"seed": "seven"}, "whole number"),
        ({"mouth": "wide"}, "number"),
        ({"ctrl_info": {"first": {}}}, "frame"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_options(values)


def test_a_crop_is_written_in_three_ways() -> None:
    for crop in ([0.1, 0, 0.8, 0.9], "0.1,0,0.8,0.9", (0.1, 0, 0.8, 0.9)):
        render = read_options({"crop": crop, "aspect": "9:16"}).render
        render.verify()
        assert render.crop == (0.1, 0, 0.8, 0.9)
    assert read_options({"crop": ""}).render.crop is None


@pytest.mark.parametrize(
    "crop",
    ["0.1,0,0.8", "a,b,c,d", [0, 0, 1, 1.5], [0.5, 0, 0.6, 1], [0, 0, 0, 1], [-0.1, 0, 1, 1], [0, 0, float("nan"), 1], [True, 0, 1, 1], 5],
)
def test_a_crop_outside_the_photo_is_refused(crop: object) -> None:
    with pytest.raises(OptionError, match="crop is .*left, top, width and height"):
        read_options({"crop": crop}).render.verify()


@pytest.mark.parametrize("background", ["beach", "#fff", "#12345g", "url(x)", "", None, 7, "#00b140 "])
def test_a_background_that_does_not_exist_is_refused(background: object) -> None:
    with pytest.raises(OptionError, match='background is .*"keep", "blur" or a colour'):
        read_options({"background": background}).render.verify()


def test_an_aspect_that_does_not_exist_is_refused() -> None:
    for aspect in ("9:17", ["9:16"], None):
        with pytest.raises(OptionError, match="aspect is .*9:16"):
            read_options({"aspect": aspect}).render.verify()


def test_assignments() -> None:
    texts = ["emo=happy", "relative_d=False", "use_d_keys=None", "crop_scale = 2.5", 'fade_type=""', "fix_kp_cond_dim=[0, 202]"]
    expected = {"emo": "happy", "relative_d": False, "use_d_keys": None, "crop_scale": 2.5, "fade_type": "", "fix_kp_cond_dim": [0, 202]}
    assert read_assignments(texts) == expected
    with pytest.raises(OptionError, match="name=value"):
        read_assignments(["emo"])
    with pytest.raises(OptionError, match="twice"):
        read_assignments(["emo=1", "emo=2"])


def test_a_file_of_options(tmp_path: Path) -> None:
    path = tmp_path / "controls.json"
    path.write_text('{"emo": 3}')
    assert read_file(path) == {"emo": 3}
    path.write_text("[1]")
    with pytest.raises(OptionError, match="by name"):
        read_file(path)
    path.write_text("{")
    with pytest.raises(OptionError, match="not JSON"):
        read_file(path)
    with pytest.raises(OptionError, match="cannot be read"):
        read_file(tmp_path / "none.json")


def test_presets() -> None:
    assert set(PRESETS) == {"fast", "draft", "default", "quality", "realtime"}
    for name in PRESETS:
        read_options(preset(name))
    assert read_options(preset("realtime")).render.online_mode is True
    with pytest.raises(OptionError, match="fast"):
        preset("fastest")


def test_lite_refuses_by_name_what_it_does_not_honour(lite: Engine, portrait: Photo) -> None:
    for name, value in {"emo": 3, "crop_scale": 2.0, "sampling_timesteps": 10, "use_d_keys": None}.items():
        options = read_options({name: value})
        with pytest.raises(OptionError, match=f"lite engine does not honour {name}"):
            lite.verify(portrait, options.framing, options.controls, options.render)
    options = read_options({"size": 128, "max_size": 512, "seed": 3, "blink": 0.5})
    lite.verify(portrait, options.framing, options.controls, options.render)


def test_defaults_of_a_request_ask_for_nothing(speech: Audio, portrait: Photo) -> None:
    request = Request(speech, portrait)
    assert (request.controls, request.options) == (Controls(), RenderOptions())


@pytest.mark.parametrize(
    ("name", "value"),
    [("fps", 9), ("fps", 61), ("fps", 29.97), ("fps", True), ("fps", "own"), ("longer", "mirror"), ("longer", ["loop"]), ("shorter", None),
     ("keep_background", -0.1), ("keep_background", 1.1), ("keep_background", float("nan")), ("keep_background", "low")],
)  # fmt: skip
def test_how_a_clip_is_played_is_one_of_few_ways(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} is ") as caught:
        read_options({name: value}).render.verify()
    assert caught.value.parameters["name"] == name


def test_ways_to_play_a_clip() -> None:
    for values in ({"fps": "source"}, {"fps": 10}, {"fps": 60, "longer": "freeze", "shorter": "rest", "keep_background": 1}):
        read_options(values).render.verify()
