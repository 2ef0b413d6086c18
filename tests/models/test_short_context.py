"""A causal model with windows of its own length: what a frame sees, in every form of the network, and in the engine's motion stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.atomic_components.audio2motion import Audio2Motion, sampler_of, seeded_noise
from core.atomic_components.condition_handler import ConditionHandler
from core.atomic_components.motion_options import Audio2MotionOptions
from core.engines.ditto_options import session_options
from core.models import LMDM
from core.models.config import ConfigError, parse_config
from core.models.export import example_arguments, export_network
from core.models.inference import prepare_for_inference
from core.models.onnx_files import OnnxNetwork
from core.options import PRESETS, read_options
from tests.support.ditto_motion import make_source
from tests.support.synthetic import synthetic_input
from tests.support.synthetic_checkpoints import TINY, configuration

FRAMES, CONTEXT = 75, 10


@pytest.fixture(scope="module")
def network() -> LMDM:
    torch.manual_seed(0)
    return LMDM(**TINY["lmdm"], frames=FRAMES, causal_after=CONTEXT).eval().requires_grad_(False)


def changed_after(arguments: dict[str, torch.Tensor], frame: int) -> dict[str, torch.Tensor]:
    later = {name: arguments[name].clone() for name in ("x", "cond")}
    for tensor in later.values():
        tensor[:, frame:] += 1
    return {**arguments, **later}


@pytest.mark.parametrize("frame", [CONTEXT, 40, FRAMES - 1])
def test_a_frame_sees_nothing_that_comes_after_it(network: LMDM, frame: int) -> None:
    arguments = example_arguments(network)
    for form in (network, prepare_for_inference(network)):
        one, other = form(**arguments)[1], form(**changed_after(arguments, frame))[1]
        torch.testing.assert_close(one[:, :frame], other[:, :frame], atol=1e-6, rtol=0)
        assert (one[:, frame:] - other[:, frame:]).abs().max() > 1e-3


def test_frames_of_the_context_see_each_other(network: LMDM) -> None:
    arguments = example_arguments(network)
    one, other = network(**arguments)[1], network(**changed_after(arguments, CONTEXT - 1))[1]
    assert (one[:, 0] - other[:, 0]).abs().max() > 1e-4


def test_the_forms_agree(network: LMDM, tmp_path: Path) -> None:
    arguments = example_arguments(network)
    wanted = network(**arguments)[1]
    torch.testing.assert_close(prepare_for_inference(network)(**arguments)[1], wanted, atol=1e-5, rtol=1e-5)
    path = tmp_path / "lmdm.onnx"
    assert export_network(network, "lmdm", path, tuple(arguments.values()), optimize=False) < 1e-4
    found = OnnxNetwork("lmdm", path)(*(argument.numpy() for argument in arguments.values()))[1]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def stage(network: LMDM, features: np.ndarray, **options: object) -> np.ndarray:
    source = make_source(7, 1)
    frames, context = network.frames, network.causal_after
    run = Audio2MotionOptions(sampling_timesteps=3, seq_frames=frames, trained_context=context, **options)  # type: ignore[arg-type]
    motion = Audio2Motion(
        sampler_of(prepare_for_inference(network), 3), ConditionHandler(source), source, lambda n: np.zeros((n, 1024), np.float32),
        seeded_noise(0, frames), run,
    )  # fmt: skip
    rows = [row for start in range(0, len(features), 5) for row in motion.push(features[start : start + 5])]
    return np.stack([*rows, *motion.flush()])


def test_live_windows_have_the_context_that_was_trained(network: LMDM) -> None:
    live = Audio2MotionOptions(seq_frames=FRAMES, trained_context=CONTEXT, online_mode=True, overlap_v2=75)
    assert (live.valid, live.shared, live.window, live.lead_in) == (5, CONTEXT, CONTEXT + 5, CONTEXT)
    whole = Audio2MotionOptions(seq_frames=FRAMES, trained_context=CONTEXT, overlap_v2=15)
    assert (whole.valid, whole.shared, whole.window) == (65, CONTEXT, FRAMES)


@pytest.mark.parametrize("options", [{"overlap_v2": 15}, {"online_mode": True, "overlap_v2": 75}, {"online_mode": True, "overlap_v2": 15}])
def test_every_policy_gives_a_row_for_each_feature(network: LMDM, options: dict[str, object]) -> None:
    features = synthetic_input("short_context", (163, 1024), 7, -1, 1)
    assert stage(network, features, **options).shape == (163, 265)


def test_live_motion_does_not_depend_on_sound_that_has_not_come(network: LMDM) -> None:
    """What pads a window that has heard 15 of its 75 frames is nothing to the frames that are shown."""
    features = synthetic_input("short_context", (60, 1024), 7, -1, 1)
    options = {"online_mode": True, "overlap_v2": 75, "emit_tail": True}
    short, long = stage(network, features[:30], **options), stage(network, features, **options)
    np.testing.assert_allclose(short, long[:30], atol=1e-5)


@pytest.mark.parametrize("options", [{"overlap_v2": 75}, {"online_mode": True, "overlap_v2": 75}], ids=["whole", "live"])
def test_short_windows_keep_what_wide_smoothing_reads(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    short = LMDM(**TINY["lmdm"], frames=10).eval().requires_grad_(False)
    features = synthetic_input("short_context", (90, 1024), 7, -1, 1)
    found = stage(short, features, smo_k_d=80, **options)
    monkeypatch.setattr("core.atomic_components.audio2motion.KEPT_ROWS", 10_000)
    np.testing.assert_array_equal(found, stage(short, features, smo_k_d=80, **options))


def test_the_presets_fit_such_a_model() -> None:
    content = configuration({})
    content["audio2motion_cfg"] |= {"seq_frames": FRAMES, "context_frames": CONTEXT, "causal": True}
    config = parse_config(content)
    assert config.motion.lmdm_arguments == {"cond_dim": 1103, "frames": FRAMES, "causal_after": CONTEXT}
    for preset in PRESETS.values():
        read = read_options(preset)
        motion = session_options(read.controls, read.render, config.defaults).motion
        assert motion.seq_frames == FRAMES
        assert motion.shared in (0, 5, CONTEXT)


@pytest.mark.parametrize(
    "wrong", [{"causal": True}, {"context_frames": 80}, {"network": {"depth": 3}}, {"network": {"width": 10**6}}, {"seq_frames": 10**6}]
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    content = configuration({})
    content["audio2motion_cfg"] |= wrong
    with pytest.raises(ConfigError):
        parse_config(content)
