"""Ditto's published commands run as published: the same folders, configuration and output, whatever format is there to run."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile

import core.engine_selection
import inference
from core.atomic_components.putback import DeviceCanvas
from core.engines.ditto import DittoEngine
from core.options import PRESETS
from tests.support.ditto_sessions import frames_of, sound
from tests.support.paths import PORTRAIT
from tests.support.synthetic_checkpoints import TINY, checkpoints, configuration, write_checkpoints, write_onnx_checkpoints

pytestmark = pytest.mark.usefixtures("tiny_ditto")
ENGINES = Path("checkpoints/ditto_trt_Ampere_Plus")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run the commands in, with example/; Ditto is what `auto` takes, as on a machine with a GPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(core.engine_selection, "gpu_obstacle", lambda device: None)
    (tmp_path / "example").mkdir()
    shutil.copyfile(PORTRAIT, "example/image.png")
    soundfile.write("example/audio.wav", sound(700), 16_000)
    return tmp_path


def name_engines(cfg: Path) -> None:
    """The configuration of the TensorRT engines, which names them by their bare names, and the engines."""
    content = configuration({"sampling_timesteps": 2})
    ENGINES.mkdir(parents=True)
    for part in (*content["base_cfg"].values(), content["audio2motion_cfg"]):
        for key in ("model_path", "task_path"):
            if key in part:
                part[key] = f"{Path(part[key]).stem}_fp16.engine"
                (ENGINES / part[key]).write_bytes(b"ftrt")
    cfg.parent.mkdir(parents=True, exist_ok=True)
    cfg.write_bytes(pickle.dumps(content))


def published(data_root: str, cfg: str) -> int:
    return inference.main([
        "--data_root", data_root, "--cfg_pkl", cfg, "--audio_path", "./example/audio.wav", "--source_path", "./example/image.png",
        "--output_path", "./tmp/result.mp4",
    ])  # fmt: skip


def test_the_command_for_tensorrt(here: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    cfg = "./checkpoints/ditto_cfg/v0.4_hubert_cfg_trt.pkl"
    name_engines(Path(cfg))
    data_root = "./checkpoints/ditto_trt_Ampere_Plus/"
    assert published(data_root, cfg) == 0
    assert "by the lite engine (auto: ditto cannot run here (" in (alone := capfd.readouterr().out)  # nothing but engines
    assert "TensorRT engines (appearance_extractor_fp16.engine and 5 more), which are not run as published" in alone
    write_checkpoints(here / "checkpoints", TINY)
    assert published(data_root, cfg) == 0, capfd.readouterr().err
    assert frames_of(here / "tmp" / "result.mp4") == (2, 320, 320, True)
    said = [record.getMessage() for record in caplog.records if "TensorRT engines" in record.getMessage()]
    assert any("the pytorch files in" in line for line in said)


def test_the_command_for_pytorch(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_checkpoints(here / "checkpoints", TINY, defaults={"sampling_timesteps": 2})
    cfg = "./checkpoints/ditto_cfg/v0.4_hubert_cfg_pytorch.pkl"
    assert published("./checkpoints/ditto_pytorch", cfg) == 0, capfd.readouterr().err
    assert frames_of(here / "tmp" / "result.mp4") == (2, 320, 320, True)


@pytest.mark.slow  # exporting the networks takes most of a minute
def test_the_onnx_folder_with_the_configuration_of_the_engines(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_onnx_checkpoints(here / "checkpoints", TINY)
    cfg = "./checkpoints/ditto_cfg/v0.4_hubert_cfg_trt.pkl"
    name_engines(Path(cfg))
    assert published("./checkpoints/ditto_onnx", cfg) == 0, capfd.readouterr().err
    assert frames_of(here / "tmp" / "result.mp4") == (2, 320, 320, True)


def test_a_warm_engine_has_run_everything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where the first call of each takes memory and chooses kernels: the first request must not pay."""
    engine = DittoEngine(checkpoints(root), "cpu")
    called: list[str] = []

    def told(name: str, call: Any) -> Any:
        return lambda *given: (called.append(name), call(*given))[1]

    networks = engine._networks
    parts: dict[str, Any] = {name: told(name, getattr(networks, name)) for name in ("appearance", "motion", "decode")}
    parts["both"] = told("both", lambda image: (networks.appearance(image), networks.motion(image)))
    parts["warm_motion"] = lambda steps, window: called.append(f"{steps} steps of {len(window)} arguments, at once")
    parts["sampler"] = lambda steps: told(f"{steps} steps", networks.sampler(steps))
    monkeypatch.setattr(engine, "_networks", dataclasses.replace(networks, **parts))
    monkeypatch.setattr(engine, "placement", dataclasses.replace(engine.placement, providers=("CUDAExecutionProvider",)))
    monkeypatch.setattr(DeviceCanvas, "put", told("canvas", DeviceCanvas.put))
    engine.warmup()
    numbers = (engine.defaults.sampling_timesteps, PRESETS["realtime"]["sampling_timesteps"])
    steps = {f"{number} steps{more}" for number in numbers for more in ("", " of 4 arguments, at once")}
    assert set(called) == {"appearance", "motion", "both", "decode", "canvas", *steps}
