"""What Ditto refuses, and what auto chooses, known before anything is fetched or loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import core.engine_selection
import inference
from core.atomic_components.wav2feat import samples_needed
from core.engine_selection import completed
from core.engines.base import Engine
from core.engines.capabilities import CAPABILITIES
from core.engines.ditto_options import session_options
from core.errors import EngineUnavailable, OptionError
from core.options import read_options
from core.request import Controls, RenderOptions, Request
from core.run_request import RunRequest
from core.settings import Settings
from core.studio import Studio, open_studio
from core.types import Audio, Photo
from tests.support.paths import ROOT

COMMAND = ["--audio_path", str(ROOT / "assets/speech_3s.wav"), "--source_path", str(ROOT / "assets/portrait.png"), "--output_path"]
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "overlap_v2": ({"overlap_v2": 80}, "overlap_v2 is 80"),
    "context_frames": ({"online_mode": True, "overlap_v2": 75, "context_frames": 76}, "context_frames is 76"),
    "emit_tail": ({"emit_tail": True}, "emit_tail is for speech that comes in"),
    "sampling_timesteps": ({"sampling_timesteps": 0}, "sampling_timesteps is 0"),
    "smo_k_d": ({"smo_k_d": 1.5}, "smo_k_d is 1.5"),
    "online_mode": ({"online_mode": "yes"}, "online_mode is 'yes'"),
    "fix_kp_cond": ({"fix_kp_cond": -1}, "fix_kp_cond is -1"),
    "fix_kp_cond_dim": ({"fix_kp_cond_dim": [9, 3]}, "fix_kp_cond_dim"),
    "v_min_max_for_clip": ({"v_min_max_for_clip": [[1, 2]]}, "v_min_max_for_clip"),
    "N_d": ({"N_d": 0}, "N_d is 0"),
    "crop_scale": ({"crop_scale": 99.0}, "crop_scale is 99"),
    "template_n_frames": ({"template_n_frames": "all"}, "template_n_frames is 'all'"),
    "emo": ({"emo": 8}, "emo is 8"),
    "eye": ({"drive_eye": 3}, "drive_eye is 3"),
    "use_d_keys": ({"use_d_keys": ["nose"]}, "use_d_keys holds 'nose'"),
    "delta_eye_arr": ({"delta_eye_arr": [1, 2]}, "delta_eye_arr"),
    "delta_eye_open_n": ({"delta_eye_open_n": []}, "delta_eye_open_n"),
    "fade_type": ({"fade_type": "x"}, "fade_type is 'x'"),
    "fade_in alone": ({"fade_in": 5}, "fade_in is given without fade_type"),
    "fade_out alone": ({"fade_out": 5, "fade_type": ""}, "fade_out is given without fade_type"),
    "fade_out_keys": ({"fade_out_keys": ["nose"]}, "fade_out_keys holds 'nose'"),
    "ctrl_info": ({"ctrl_info": {"0": {"delta_nose": 1}}}, "ctrl_info holds 'delta_nose'"),
    "overall_ctrl_info": ({"overall_ctrl_info": {"vad_alpha": 2}}, "vad_alpha is 2"),
    "ch_info": ({"ch_info": {"sc": 1}}, "ch_info is not a character"),
    "of lite": ({"blink": 0.5}, "ditto engine does not honour blink"),
}


def never() -> Engine:
    raise AssertionError("the engine was asked for")


@pytest.fixture
def studio(settings: Settings) -> Any:
    studio = open_studio(settings, never)
    yield studio
    studio.close()


def submit(studio: Studio, speech: Audio, portrait: Photo, output: Path, engine: str, **values: Any) -> None:
    options = read_options(values)
    studio.submit(Request(speech, portrait, engine, options.framing, options.controls, options.render), output)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_option_is_refused_at_submit(case: str, studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    values, expected = WRONG[case]
    with pytest.raises(OptionError, match=expected):
        submit(studio, speech, portrait, tmp_path / "v.mp4", "ditto", **values)


def test_fades_are_for_the_length_of_the_recording(studio: Studio, speech: Audio, portrait: Photo, tmp_path: Path) -> None:
    submit(studio, speech, portrait, tmp_path / "v.mp4", "ditto", fade_in=5, fade_out=5, fade_type="s")


def test_the_command_line_refuses_without_torch_and_without_a_download(tmp_path: Path) -> None:
    arguments = [*COMMAND, str(tmp_path / "v.mp4"), "--engine", "ditto", "--set", "overlap_v2=80"]
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['huggingface_hub'] = None\n"
        f"import inference; sys.exit(inference.main({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "overlap_v2 is 80. It must be a whole number from 0 to 79.\n"


# ---------------------------------------------------------------- auto


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--preset", "fast"], "--preset"),
        (["--set", "emo=happy"], "emo"),
        (["--set", "overlap_v2=20"], "overlap_v2"),
        (["--data_root", "models", "--cfg_pkl", "cfg.pkl"], "--data_root"),
        (["--engine", "lite", "--preset", "realtime"], "--preset"),
    ],
)
def test_what_only_ditto_does_is_refused_by_the_name_it_was_given_under(
    more: list[str], named: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.engine_selection, "gpu_obstacle", lambda device: "no GPU was found")
    assert inference.main([*COMMAND, str(tmp_path / "v.mp4"), *more]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{named} is for the ditto engine, but the lite engine would run (")
    assert line.endswith("--engine ditto.")


def test_auto_takes_ditto_for_a_gpu_only(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("core.optimization.gpu_optimization.cuda_devices", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for device, chosen in ((None, "ditto"), ("cuda:0", "ditto"), ("cpu", "lite")):
        studio = open_studio(settings, never, device)
        name, reason = studio.choose_engine("auto")
        assert name == chosen
        assert device != "cpu" or reason == "auto: ditto was told to run on cpu"
        studio.close()


def test_auto_does_not_give_what_lite_cannot(
    settings: Settings, speech: Audio, portrait: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a GPU but no checkpoints auto falls back, though not where an emotion is asked for: why Ditto cannot run is the answer."""

    def cannot() -> Engine:
        raise EngineUnavailable("The ditto engine has no checkpoints.", "Fetch them.")

    monkeypatch.setattr(core.engine_selection, "gpu_obstacle", lambda device: None)
    studio = open_studio(settings, cannot)
    options = read_options({"emo": np.int64(3)})
    with pytest.raises(EngineUnavailable, match="Fetch them"):
        studio.generate(Request(speech, portrait, controls=options.controls), tmp_path / "v.mp4")
    studio.close()


def test_a_stream_does_not_wait_for_seconds_of_speech(portrait: Photo) -> None:
    """What a live session leaves open is as in the preset "realtime": the window policy alone would still wait for 70 frames."""

    def live(**options: Any) -> Any:
        run_request = RunRequest(portrait, "local", "ditto", options=RenderOptions(**options))
        return session_options(Controls(), completed(run_request, CAPABILITIES["ditto"]).options).motion

    def waits_s(motion: Any) -> float:
        return samples_needed(motion.features_before(0), motion.online_mode) / 16_000

    assert waits_s(live()) < 0.5
    assert waits_s(live(overlap_v2=70)) < 0.9
    assert (live().sampling_timesteps, live(sampling_timesteps=3).sampling_timesteps) == (10, 3)
    assert not live(online_mode=False).online_mode
    assert live(online_mode=False).overlap_v2 == 10
    unchanged = RunRequest(portrait, "local")
    assert completed(unchanged, CAPABILITIES["lite"]) is unchanged
    assert completed(unchanged, CAPABILITIES["ditto"]).controls.overall_ctrl_info == {"delta_pitch": 2}
