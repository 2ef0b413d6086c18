"""What the Ditto engine cannot run without, and how it says so."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import core.engine_selection
from core.engines.ditto import DittoEngine
from core.errors import EngineUnavailable, FaceError, OptionError
from core.optimization.cold_start_optimization import LoadState
from core.request import Framing, RenderOptions, Request
from core.settings import Settings
from core.studio import open_studio
from core.types import Audio, Photo
from tests.support.synthetic_checkpoints import checkpoints

pytestmark = pytest.mark.usefixtures("tiny_ditto")


def test_missing_checkpoints_are_named(root: Path, tmp_path: Path) -> None:
    paths = checkpoints(root)
    with pytest.raises(EngineUnavailable, match=r"no checkpoint of: decoder\. .*model_manager\.py download"):
        DittoEngine({role: path for role, path in paths.items() if role != "decoder"}, "cpu")
    with pytest.raises(EngineUnavailable, match=r"gone\.pth"):
        DittoEngine({**paths, "decoder": root / "gone.pth"}, "cpu")
    with pytest.raises(EngineUnavailable, match=r"fix_kv\.onnx is neither .* each as a whole set"):
        DittoEngine({**paths, "decoder": paths["hubert"]}, "cpu")
    engine_file = tmp_path / "decoder_fp16.engine"
    engine_file.write_bytes(b"ftrt")
    with pytest.raises(EngineUnavailable, match=r"decoder_fp16\.engine is neither .* TensorRT engines it does not run"):
        DittoEngine({**paths, "decoder": engine_file}, "cpu")
    with pytest.raises(OptionError, match="detector"):
        DittoEngine(paths, "cpu", detector="best")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="device"):
        DittoEngine(paths, "tpu")


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.optimization import gpu_optimization

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineUnavailable, match=r"PyTorch.*pip install"):
        gpu_optimization.place("cpu")
    monkeypatch.setattr(gpu_optimization, "cuda_devices", lambda: 1)
    assert gpu_optimization.gpu_obstacle() == "PyTorch is not installed"


def test_no_face(engine: DittoEngine) -> None:
    with pytest.raises(FaceError):
        engine.register(Photo(np.full((256, 256, 3), 128, np.uint8), "grey"), Framing())


def test_insightface_comes_with_a_notice(root: Path, portrait: Photo) -> None:
    found = DittoEngine(checkpoints(root), "cpu", detector="insightface").register(portrait, Framing())
    assert any("non-commercial" in warning for warning in found.warnings)


def test_auto_takes_a_gpu_and_falls_back_with_the_reason(
    settings: Settings, speech: Audio, portrait: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot() -> Any:
        raise EngineUnavailable("The ditto engine has no checkpoints.", "Fetch them.")

    studio = open_studio(settings, cannot)
    assert studio.choose_engine("auto") == ("lite", "auto: no GPU was found")
    studio.close()
    monkeypatch.setattr(core.engine_selection, "gpu_obstacle", lambda device: None)
    studio = open_studio(settings, cannot)
    assert studio.choose_engine("auto") == ("ditto", "auto: a GPU was found")
    short = dataclasses.replace(speech, samples=speech.samples[:6400])
    info = studio.generate(Request(short, portrait, options=RenderOptions(size=96)), tmp_path / "v.mp4").info
    assert info.engine == "lite"
    assert info.engine_reason == "auto: ditto cannot run here (The ditto engine has no checkpoints)"
    with pytest.raises(EngineUnavailable, match="Fetch them"):
        studio.generate(Request(short, portrait, engine="ditto"), tmp_path / "w.mp4")
    studio.close()


def test_what_runs_on_the_cpu_instead_of_a_gpu_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime falls back without an error; here there is no GPU, so whatever is to run on one does not."""
    from core.engines import ditto_networks
    from core.optimization.gpu_optimization import place

    on_gpu = dataclasses.replace(place("cpu"), providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    monkeypatch.setattr(ditto_networks, "place", lambda device: on_gpu)
    said = DittoEngine(checkpoints(root)).limitation
    assert said == "ONNX Runtime does not use the GPU, so these run on the CPU: speech encoder, landmark network"
    assert said in caplog.text
    assert str(LoadState("ready", limitation=said)) == f"ready, but {said}"


def test_a_driver_that_does_not_work_is_told_from_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.optimization import gpu_optimization

    for answer, said in (
        ((0, 0), "no GPU was found"),
        ((0, 100), "no GPU was found"),
        ((0, 803), "NVIDIA's driver does not work (CUDA error 803)"),
    ):
        monkeypatch.setattr(gpu_optimization, "_driver_answer", lambda answer=answer: answer)
        assert gpu_optimization.gpu_obstacle() == said
