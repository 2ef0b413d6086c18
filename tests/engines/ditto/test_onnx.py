"""The engine on the published ONNX layout: the same networks in ONNX Runtime, from the Hub's files to frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import inference
from core.engines.ditto import DittoEngine
from core.errors import EngineUnavailable
from core.models.checkpoint import CheckpointError
from core.options import read_options
from core.request import Framing
from core.types import Frame, Photo
from tests.support.golden_io import SEED
from tests.support.paths import ROOT
from tests.support.synthetic import synthetic_input
from tests.support.synthetic_checkpoints import ONNX_FILES, TINY, checkpoints, write_checkpoints, write_onnx_checkpoints

pytestmark = pytest.mark.usefixtures("tiny_ditto")
OPTIONS = {"sampling_timesteps": 2, "size": 96, "online_mode": True, "overlap_v2": 75}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_ditto: None) -> Path:
    folder = write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)
    return write_onnx_checkpoints(folder, TINY)


def spoken(engine: DittoEngine, portrait: Photo, cuts: int = 100_000) -> tuple[list[Frame], np.ndarray]:
    """The frames, and the driven keypoints of the first one's source."""
    found = engine.register(portrait, Framing())
    options = read_options(OPTIONS)
    session = engine.session(found, options.controls, options.render)
    samples = synthetic_input("sound", (640 * 6 + 5,), SEED, -0.3, 0.3)
    frames = [frame for i in range(0, len(samples), cuts) for frame in session.push(samples[i : i + cuts])] + list(session.flush())
    session.interrupt()
    return frames, found.source.motion.motions[0].row()


@pytest.mark.slow  # exporting the networks takes most of a minute
def test_onnx_equals_pytorch(root: Path, portrait: Photo) -> None:
    torch_frames, torch_row = spoken(DittoEngine(checkpoints(root), "cpu"), portrait)
    engine = DittoEngine(checkpoints(root, ONNX_FILES), "cpu")
    frames, row = spoken(engine, portrait)
    np.testing.assert_allclose(row, torch_row, atol=2e-5)
    assert len(frames) == len(torch_frames) == 7
    apart = np.abs(np.stack(frames).astype(int) - np.stack(torch_frames).astype(int))
    assert apart.max() <= 1
    assert apart.mean() < 0.01
    assert engine.revision != DittoEngine(checkpoints(root), "cpu").revision
    engine.warmup()


@pytest.mark.slow  # exporting the networks takes most of a minute
def test_how_the_audio_is_cut_changes_no_frame(root: Path, portrait: Photo) -> None:
    engine = DittoEngine(checkpoints(root, ONNX_FILES), "cpu")
    whole, cut = spoken(engine, portrait)[0], spoken(engine, portrait, 777)[0]
    assert all(np.array_equal(a, b) for a, b in zip(whole, cut, strict=True))


@pytest.mark.slow  # exporting the networks takes most of a minute
def test_insightface_of_the_onnx_set(root: Path, portrait: Photo) -> None:
    found = DittoEngine(checkpoints(root, ONNX_FILES), "cpu", detector="insightface").register(portrait, Framing())
    assert any("non-commercial" in warning for warning in found.warnings)


@pytest.mark.slow  # exporting the networks takes most of a minute
def test_a_graph_that_is_damaged_or_another_network(root: Path, tmp_path: Path) -> None:
    whole = checkpoints(root, ONNX_FILES)
    bad = tmp_path / "decoder.onnx"
    bad.write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match=r"decoder\.onnx cannot be run"):
        DittoEngine({**whole, "decoder": bad}, "cpu")
    with pytest.raises(CheckpointError, match=r"takes .*; decoder takes feature"):
        DittoEngine({**whole, "decoder": whole["warp_network"]}, "cpu")


def test_a_gpu_that_onnx_runtime_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.optimization import gpu_optimization

    on_gpu = gpu_optimization.Placement(
        torch.device("cuda"), torch.float16, 5, 2, ("CUDAExecutionProvider", "CPUExecutionProvider"), "a GPU was found"
    )
    place = gpu_optimization.place
    monkeypatch.setattr(gpu_optimization, "place", lambda device=None: place("cpu") if device == "cpu" else on_gpu)
    with pytest.raises(EngineUnavailable, match=r"cannot use the GPU.*requirements-gpu"):
        gpu_optimization.place_onnx("cuda")
    assert gpu_optimization.place_onnx().device.type == "cpu"
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    found = gpu_optimization.place_onnx("cuda")
    assert (found.device.type, found.batch, found.providers[0]) == ("cpu", 1, "CUDAExecutionProvider")


@pytest.mark.slow  # exporting the networks takes most of a minute
def test_command_line(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    import soundfile

    import manager.ditto
    from manager.catalogue import Checkpoints
    from manager.store import Store

    formats = []

    def ensure(self: Store, format: str, *more: object, **named: object) -> Checkpoints:
        formats.append(format)
        return Checkpoints(format, "revision", checkpoints(root, ONNX_FILES))

    monkeypatch.setattr(manager.ditto.Store, "ensure", ensure)
    soundfile.write(tmp_path / "a.wav", synthetic_input("sound", (1300,), SEED, -0.3, 0.3), 16_000)
    portrait, audio, output = ROOT / "assets/portrait.png", tmp_path / "a.wav", tmp_path / "v.mp4"
    arguments = [
        "--audio_path", str(audio), "--source_path", str(portrait), "--output_path", str(output),
        "--engine", "ditto", "--format", "onnx", "--device", "cpu", "--set", "sampling_timesteps=2", "--size", "96",
    ]  # fmt: skip
    assert inference.main(arguments) == 0, capfd.readouterr().err
    assert formats == ["onnx"]
    assert output.stat().st_size > 1000
