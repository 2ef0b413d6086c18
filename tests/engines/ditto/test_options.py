"""Every option of the Ditto engine has its effect, or is refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.engines.ditto import DittoEngine, DittoRegistered
from core.errors import OptionError
from core.media.source import load_source
from core.options import PRESETS, read_options
from core.request import Framing
from core.settings import Settings
from core.types import Photo
from tests.support import synthetic_checkpoints
from tests.support.ditto_sessions import moved, session, sound, spoken
from tests.support.golden_io import SEED
from tests.support.synthetic import synthetic_input
from tests.support.synthetic_checkpoints import checkpoints

CHARACTER = {
    "x_s_info_lst": [
        {
            name: synthetic_input(f"character_{name}", (1, size), SEED, low, high)
            for name, size, low, high in (
                ("pitch", 66, -6, 6), ("yaw", 66, -6, 6), ("roll", 66, -6, 6), ("t", 3, -0.2, 0.2), ("exp", 63, -0.1, 0.1),
                ("scale", 1, 1.4, 1.5), ("kp", 63, -0.6, 0.6),
            )
        }
    ],
    "sc": np.zeros(63, np.float32),
    "eye_open_lst": [np.full((1, 2), 0.4, np.float32)],
    "eye_ball_lst": [np.zeros((1, 6), np.float32)],
}  # fmt: skip
BLINK = np.stack([np.full(63, 0.02 * i, np.float32) for i in range(4)])
ZERO_BOUNDS = np.zeros((2, 265), np.float32)
EFFECTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # option: (what it is compared with, the same with it)
    "emo": ({}, {"emo": 3}),
    "ch_info": ({}, {"ch_info": CHARACTER}),
    "overlap_v2": ({"n_frames": 90}, {"n_frames": 90, "overlap_v2": 20}),
    "context_frames": ({"online_mode": True, "overlap_v2": 75}, {"online_mode": True, "overlap_v2": 75, "context_frames": 10}),
    "emit_tail": ({"online_mode": True, "overlap_v2": 75}, {"online_mode": True, "overlap_v2": 75, "emit_tail": True}),
    "fix_kp_cond": ({"n_frames": 160}, {"n_frames": 160, "fix_kp_cond": 1}),
    "fix_kp_cond_dim": ({"n_frames": 160, "fix_kp_cond": 1}, {"n_frames": 160, "fix_kp_cond": 1, "fix_kp_cond_dim": (0, 202)}),
    "sampling_timesteps": ({}, {"sampling_timesteps": 3}),
    "online_mode": ({}, {"online_mode": True}),
    "v_min_max_for_clip": ({}, {"v_min_max_for_clip": ZERO_BOUNDS}),
    "smo_k_d": ({}, {"smo_k_d": 9}),
    "N_d": (
        {"n_frames": 40, "delta_eye_arr": BLINK, "delta_eye_open_n": 9},
        {"n_frames": 40, "delta_eye_arr": BLINK, "delta_eye_open_n": 9, "N_d": 20},
    ),
    "use_d_keys": ({}, {"use_d_keys": ("exp",)}),
    "use_d_keys (factors)": ({}, {"use_d_keys": {"exp": 1.5, "yaw": 1.0, "pitch": 1.0, "roll": 1.0, "t": 1.0}}),
    "relative_d": ({}, {"relative_d": False}),
    "drive_eye": ({}, {"drive_eye": False}),
    "delta_eye_arr": ({}, {"delta_eye_arr": BLINK, "delta_eye_open_n": 3}),
    "delta_eye_open_n": ({"delta_eye_arr": BLINK, "delta_eye_open_n": 3}, {"delta_eye_arr": BLINK, "delta_eye_open_n": 2}),
    "fade_type": (
        {"ctrl_info": {i: {"fade_alpha": 0.2} for i in range(12)}},
        {"ctrl_info": {i: {"fade_alpha": 0.2} for i in range(12)}, "fade_type": "s"},
    ),
    "fade_in": ({"fade_type": "s", "N_d": 12}, {"fade_type": "s", "N_d": 12, "fade_in": 6}),
    "fade_out": ({"fade_type": "s", "N_d": 12}, {"fade_type": "s", "N_d": 12, "fade_out": 6}),
    "fade_out_keys": (
        {"fade_type": "s", "N_d": 12, "fade_out": 6},
        {"fade_type": "s", "N_d": 12, "fade_out": 6, "fade_out_keys": ("yaw", "pitch")},
    ),
    "flag_stitching": ({}, {"flag_stitching": False}),
    "ctrl_info": ({}, {"ctrl_info": {"4": {"delta_yaw": 9}}}),
    "overall_ctrl_info": ({}, {"overall_ctrl_info": {"delta_pitch": 2}}),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_option_has_its_effect(name: str, engine: DittoEngine, registered: DittoRegistered) -> None:
    without, with_it = (moved(engine, registered, **values) for values in EFFECTS[name])
    assert without.shape == with_it.shape
    assert np.abs(without - with_it).max() > 1e-6


def test_eyes_of_the_first_frame_may_be_held(engine: DittoEngine, clip: DittoRegistered) -> None:
    assert np.abs(moved(engine, clip) - moved(engine, clip, eye_f0_mode=True)).max() > 1e-9


@pytest.mark.parametrize(
    ("name", "value"),
    [("crop_scale", 2.0), ("crop_vx_ratio", 0.1), ("crop_vy_ratio", 0.0), ("crop_flag_do_rot", False)],
)
def test_an_option_of_the_source_has_its_effect(
    name: str, value: Any, engine: DittoEngine, registered: DittoRegistered, portrait: Photo
) -> None:
    other = engine.register(portrait, read_options({name: value}).framing)
    assert not np.array_equal(other.source.frames[0].m_c2o, registered.source.frames[0].m_c2o)


def test_options_of_a_video_source(engine: DittoEngine, clip: DittoRegistered, clip_bytes: bytes, settings: Settings) -> None:
    source = load_source(clip_bytes, settings)
    assert len(engine.register(source, Framing(template_n_frames=3)).source) == 3
    assert engine.register(source, Framing(max_size=384, template_n_frames=1)).source.width == 384
    rough = engine.register(source, Framing(smo_k_s=1))
    assert not np.array_equal(rough.source.motion.motions[0].exp, clip.source.motion.motions[0].exp)


def test_the_configuration_holds_where_nothing_was_asked(root: Path, tmp_path: Path, registered: DittoRegistered, portrait: Photo) -> None:
    bounds = np.ones((4, 265)) * [[-9], [9], [0], [0]]
    defaults = {
        "emo": 3,
        "overall_ctrl_info": {"delta_pitch": 2},
        "crop_scale": 2.0,
        "v_min_max_for_clip": bounds,
    }
    path = tmp_path / "other.pkl"
    path.write_bytes(synthetic_checkpoints.pickle.dumps(synthetic_checkpoints.configuration(defaults)))
    other = DittoEngine(checkpoints(root), "cpu", cfg_pkl=path)
    mine = other.register(portrait, Framing())
    assert not np.array_equal(mine.source.frames[0].m_c2o, registered.source.frames[0].m_c2o)
    plain = other.register(portrait, Framing(crop_scale=2.3))
    assert np.array_equal(plain.source.frames[0].m_c2o, registered.source.frames[0].m_c2o)
    told = moved(other, plain, emo=4, overall_ctrl_info={}, v_min_max_for_clip=None)
    assert np.array_equal(told, moved(DittoEngine(checkpoints(root), "cpu"), registered))
    assert not np.array_equal(told, moved(other, plain))
    assert other.revision != DittoEngine(checkpoints(root), "cpu").revision


@pytest.mark.parametrize(
    "values",
    [
        {"overlap_v2": 80}, {"sampling_timesteps": 0}, {"crop_scale": 99.0}, {"emo": 8}, {"fade_type": "x"}, {"use_d_keys": ["nose"]},
        {"ctrl_info": {"0": {"delta_nose": 1}}}, {"ch_info": {"sc": 1}}, {"fade_in": 5}, {"blink": 0.5}, {"relative_d": 3},
    ],
)  # fmt: skip
def test_wrong_values_are_refused_before_any_work(engine: DittoEngine, portrait: Photo, values: dict[str, Any]) -> None:
    options = read_options(values)
    with pytest.raises(OptionError):
        engine.verify(portrait, options.framing, options.controls, options.render)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run(name: str, engine: DittoEngine, registered: DittoRegistered) -> None:
    values = {**PRESETS[name], "sampling_timesteps": 2, "size": 96}
    assert len(spoken(session(engine, registered, **values), sound(640))) == 1
