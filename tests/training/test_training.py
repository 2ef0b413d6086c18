"""Training: resumed to the same weights, shared by two processes, begun from published weights; its losses, cost and mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from accelerate import Accelerator
from safetensors.torch import load_file

from core.engines.ditto import DittoEngine
from core.media.source import load_source
from core.models import LMDM
from core.models.checkpoint import load_checkpoint
from core.request import Controls, Framing, RenderOptions
from core.settings import Settings
from core.types import Audio, Photo
from tests.support.network_sizes import TINY
from tests.support.paths import PORTRAIT, ROOT
from tests.support.ports import free_port
from tests.support.synthetic_checkpoints import FILES, checkpoints
from training.config import checked, load_config
from training.cost import BYTES_PER_PARAMETER, cost_of
from training.data.manifest import Moments, read_manifest
from training.data.windows import Steps, Windows, split
from training.export import main as export
from training.files import DataError
from training.learner import Learner
from training.losses import MotionLoss
from training.run_folder import trained
from training.schedule import learning_rate
from training.train import main as train

pytestmark = pytest.mark.slow
SMALL: dict[str, Any] = {
    "seed": 3, "steps": 6, "batch": 4, "precision": "float32", "validation": 0.3, "validation_windows": 4, "every": 100, "workers": 0,
    "window": {"frames": 20}, "network": {"width": 16, "ff_width": 16, "layers": 1, "heads": 2, "cond_layers": 1},
    "optimizer": {"warmup_steps": 2, "ema_decay": 0.9},
}  # fmt: skip
ONES = (1.0,) * 265


def configured(tmp_path: Path, **more: Any) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **more}))
    return path


def run(config: Path, data: Path, folder: Path, *more: str) -> int:
    return train(["--config", str(config), "--data", str(data), "--run", str(folder), "--cpu", *more])


def kept(folder: Path, step: int) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name in ("weights", "average", "optimizer"):
        state = load_file(folder / "states" / f"{step:08d}" / f"{name}.safetensors")
        found |= {f"{name}.{key}": tensor for key, tensor in state.items()}
    return found


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    assert run(config, data, tmp_path / "whole") == 0
    assert run(config, data, tmp_path / "parts", "--until", "2") == 0
    assert run(config, data, tmp_path / "parts", "--until", "5") == 0
    assert "goes on from step 2" in capsys.readouterr().out
    assert run(config, data, tmp_path / "parts") == 0
    whole, parts = kept(tmp_path / "whole", 6), kept(tmp_path / "parts", 6)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    first = kept(tmp_path / "parts", 2)
    assert not torch.equal(first["weights.lmdm.final_layer.bias"], whole["weights.lmdm.final_layer.bias"])
    assert run(configured(tmp_path, seed=4), data, tmp_path / "parts") == 2
    assert "another configuration (seed)" in capsys.readouterr().err


def test_a_cut_off_state_is_told(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    assert run(config, data, tmp_path / "run", "--until", "1") == 0
    weights = tmp_path / "run" / "states" / "00000001" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert run(config, data, tmp_path / "run") == 2
    assert "damaged" in capsys.readouterr().err


def test_gradients_that_are_no_numbers_spoil_no_weights(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss may be a number all the same: a run whose last state holds none could never go on."""
    config = configured(tmp_path, every=1)
    backward, steps = Accelerator.backward, []

    def overflows_in_the_third(accelerator: Accelerator, loss: torch.Tensor) -> None:
        steps.append(loss)
        backward(accelerator, loss * torch.inf if len(steps) == 3 else loss)

    with monkeypatch.context() as patch:
        patch.setattr(Accelerator, "backward", overflows_in_the_third)
        assert run(config, data, tmp_path / "run") == 2
    assert "The gradients of step 3 are no numbers (its loss is " in capsys.readouterr().err
    assert all(bool(torch.isfinite(tensor).all()) for tensor in kept(tmp_path / "run", 2).values())
    assert run(config, data, tmp_path / "run") == 0
    assert "goes on from step 2" in capsys.readouterr().out


GRADIENTS = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from training.config import load_config
from training.trainer import Trainer
config, data, out = sys.argv[1:]
trainer = Trainer(load_config(Path(config), data=data, run=out + ".run"), cpu=True)
trainer.gradients(next(trainer.batches()))
found = {name: parameter.grad for name, parameter in trainer.learner.named_parameters()}
if trainer.is_main:
    torch.save(found, out)
"""


def gradients(config: Path, data: Path, out: Path, processes: int) -> dict[str, torch.Tensor]:
    port, started = free_port(), []
    for rank in range(processes):
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        shared = {name: str(value) for name, value in names.items()} if processes > 1 else {}
        command = [sys.executable, "-c", GRADIENTS, str(config), str(data), str(out)]
        environment = {**os.environ, **shared, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment))
    assert [process.wait(300) for process in started] == [0] * processes
    found: dict[str, torch.Tensor] = torch.load(out, weights_only=True)
    return found


def test_two_processes_have_the_gradients_of_one(data: Path, tmp_path: Path) -> None:
    config = configured(tmp_path)
    one, two = gradients(config, data, tmp_path / "one", 1), gradients(config, data, tmp_path / "two", 2)
    assert one.keys() == two.keys()
    for name, gradient in one.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(two[name], gradient, atol=1e-6, rtol=1e-4)
    with pytest.raises(DataError, match="cannot be shared by 3"):
        Steps(load_config(config, data="d", run="r"), None, 0, 3)  # type: ignore[arg-type]


def test_gradients_are_those_of_one_pass_when_layers_are_computed_again(data: Path) -> None:
    config = checked({**SMALL, "data": str(data), "run": "r"}, "here")
    manifest = read_manifest(data)
    batch = Steps(config, Windows(data, split(manifest, 0)[0], 20, 4))[0]
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        learner = Learner(LMDM(**config.lmdm_arguments), manifest.motion, again)
        loss = MotionLoss(config.objective, manifest.motion)
        x = learner.noised(batch.motion, batch.noise, batch.time)
        loss(learner(x, batch.cond_frame, batch.cond, batch.time, batch.dropped), batch.motion, batch.time)["total"].backward()
        found.append([parameter.grad for parameter in learner.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))  # type: ignore[arg-type]


def test_the_learner_without_its_condition_is_the_products_unconditional_pass() -> None:
    torch.manual_seed(0)
    moments = Moments(minimum=ONES, maximum=ONES, mean=(0.5,) * 265, scale=(2.0,) * 265)
    learner = Learner(LMDM(frames=20, **SMALL["network"]), moments)
    x, frame, cond = torch.randn(2, 20, 265), torch.randn(2, 265), torch.randn(2, 20, 1103)
    time = torch.tensor([999, 0])
    with torch.no_grad():
        free, bound = learner.folded().both_passes(x, frame, cond, time)
        for dropped, wanted in ((True, free), (False, bound)):
            found = learner(x, frame, cond, time, torch.tensor([dropped] * 2))
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        before = learner(x, frame, cond, time, torch.tensor([False] * 2))
        learner.lmdm = learner.folded()
        learner.unfold()
        torch.testing.assert_close(learner(x, frame, cond, time, torch.tensor([False] * 2)), before, atol=1e-5, rtol=1e-5)


def test_training_begins_from_published_weights(data: Path, ditto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = {**TINY["lmdm"]}
    config = configured(tmp_path, network=network, window={"frames": 20}, optimizer={"learning_rate": 1e-12, "warmup_steps": 0})
    assert run(config, data, tmp_path / "run", "--until", "1", "--init", str(ditto)) == 0
    published = load_checkpoint(LMDM(**network), ditto / FILES["lmdm"])
    found = trained(tmp_path / "run")[0]
    for name, weight in published.state_dict().items():
        wanted = weight[:, :20] if name == "null_cond_embed" else weight
        torch.testing.assert_close(found.state_dict()[name], wanted, atol=1e-5, rtol=1e-4)
    assert run(configured(tmp_path), data, tmp_path / "other", "--init", str(ditto)) == 1
    assert "does not fit LMDM" in capsys.readouterr().err


def test_losses_by_name() -> None:
    config = checked({**SMALL, "data": "d", "run": "r"}, "here")
    loss = MotionLoss(config.objective, Moments(minimum=ONES, maximum=ONES, mean=ONES, scale=(2.0,) * 265))
    motion = torch.zeros(1, 4, 265)
    wrong = motion.clone()
    wrong[:, :, 0] = 2  # scale - 1 of every frame, one part of six, off by its scale
    found = loss(wrong, motion, torch.tensor([500]))
    assert found["position"].item() == pytest.approx(1 / 6)
    assert found["velocity"].item() == 0
    assert found["lips"].item() == 0
    wrong[:, 2:, 202 + 3 * 20] = 2  # a lip keypoint, in half of the frames, with one jump
    found = loss(wrong, motion, torch.tensor([500]))
    assert found["lips"].item() == pytest.approx(0.5 / 18)
    assert found["velocity"].item() == pytest.approx(1 / 3 / (6 * 63))
    noise = checked({**SMALL, "data": "d", "run": "r", "objective": {"prediction": "noise"}}, "here").objective
    level = MotionLoss(noise, Moments(minimum=ONES, maximum=ONES, mean=ONES, scale=ONES))
    assert level(wrong, motion, torch.tensor([0]))["total"] > 100 * level(wrong, motion, torch.tensor([900]))["total"]


def test_windows_are_those_of_seed_and_step(data: Path) -> None:
    config = checked({**SMALL, "data": str(data), "run": "r"}, "here")
    manifest = read_manifest(data)
    learnt, held_out = split(manifest, 0.3)
    assert (len(learnt), len(held_out)) == (2, 1)
    assert not {clip.shard for clip in learnt} & {clip.shard for clip in held_out}
    windows = Windows(data, learnt, 20, 4)
    steps, halves = Steps(config, windows), [Steps(config, windows, i, 2) for i in range(2)]
    whole = steps[2]
    for name, tensor in vars(whole).items():
        assert torch.equal(torch.cat([getattr(half[2], name) for half in halves]), tensor), name
        assert torch.equal(getattr(steps[2], name), tensor)
    assert not torch.equal(steps[3].noise, whole.noise)
    clip, first = windows.place(len(windows) - 1)
    assert (clip, first) == (windows.clips[-1], windows.clips[-1].frames - 20)
    motion, frame, cond = windows.window(clip, first, None)
    before = windows.window(clip, first - 1, None)
    np.testing.assert_array_equal(frame, before[0][0])
    np.testing.assert_array_equal(motion[:-1], before[0][1:])
    np.testing.assert_array_equal(cond[:-1], before[2][1:])


@pytest.mark.parametrize(("lr", "wanted"), [("1e-4", 1e-4), ("2E+0", None), ("3.0e-4", 3e-4), ("'1e-4'", None)])
def test_a_rate_as_it_is_usually_written_is_a_number(tmp_path: Path, lr: str, wanted: float | None) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"steps: 5\noptimizer: {{learning_rate: {lr}}}\n")
    if wanted is None:
        with pytest.raises(DataError, match="learning_rate: Input should be (less than or equal to 1|a valid number)"):
            load_config(path, data="d", run="r")
    else:
        assert load_config(path, data="d", run="r").optimizer.learning_rate == wanted


def test_the_learning_rate_goes_up_and_then_down_a_cosine() -> None:
    config = checked({**SMALL, "data": "d", "run": "r", "steps": 102}, "here")
    rates = [learning_rate(config, step) for step in range(102)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[1] == rates[2] == 2e-4
    assert rates[52] == pytest.approx(2e-4 * (0.05 + 0.95 / 2))
    assert rates[-1] < 1.1e-5


def test_a_step_of_the_whole_configuration_is_counted_without_numbers() -> None:
    config = load_config(ROOT / "training" / "configs" / "lmdm.yaml")
    cost = cost_of(config, batch=2)
    assert cost.parameters == sum(parameter.numel() for parameter in LMDM().parameters())
    multiplications = 4.90e9 / 2 * 2  # of one pass of two windows: half of a guided step's 4.90 GMAC each
    assert cost.operations == pytest.approx(2 * 3 * multiplications, rel=0.1)
    assert cost.memory == cost.parameters * BYTES_PER_PARAMETER + cost.activations
    again = config.model_copy(update={"gradient_checkpointing": True})
    assert cost_of(again, batch=2).activations < 0.4 * cost.activations


@pytest.mark.parametrize("name", ["lmdm.yaml", "lmdm_short.yaml", "tiny.yaml"])
def test_the_configurations_are_right(name: str) -> None:
    load_config(ROOT / "training" / "configs" / name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: 5\nlearning_rate: 1", "learning_rate"), ("steps: 0", "steps"), ("steps: '5'", "steps"), ("steps: [", "no YAML"),
        ("5", "no keys"),
        ("steps: 5\nwindow: {frames: 5, context: 5}", "window"), ("steps: 5\nwindow: {causal: true}", "window"),
        ("steps: 5\nobjective: {losses: {lips: .nan}}", "lips"), ("steps: 5\nnetwork: {width: 64, heads: 7}", "network"),
        ("steps: 5\nrun: !!python/object/apply:os.system [true]", "no YAML"),
    ],
)  # fmt: skip
def test_mistakes_of_a_configuration_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        load_config(path, data="data", run=None if "run:" in text else "run")


def test_a_causal_run_makes_its_video_and_speaks_live(data: Path, ditto: Path, portrait: Photo, speech: Audio, tmp_path: Path) -> None:
    """Windows of 30 frames, 5 of context: offline for the video of the run, then a live session of what is exported."""
    soundfile.write(tmp_path / "speech.wav", speech.samples[:6_400], 16_000)
    video = {"photo": str(PORTRAIT), "audio": str(tmp_path / "speech.wav"), "ditto": str(ditto), "steps": 1}
    config = configured(tmp_path, window={"frames": 30, "context": 5, "causal": True}, sample_video=video)
    assert run(config, data, tmp_path / "run", "--until", "1") == 0
    made = load_source(tmp_path / "run" / "samples" / "00000001.mp4", Settings())
    assert made.n_frames == 10  # type: ignore[union-attr]
    assert export([str(tmp_path / "run"), str(tmp_path / "checkpoint"), "--ditto", str(ditto), "--no_onnx"]) == 0
    engine = DittoEngine(checkpoints(tmp_path / "checkpoint"), "cpu")
    options = RenderOptions(online_mode=True, overlap_v2=75, sampling_timesteps=1, emit_tail=True)
    session = engine.session(engine.register(portrait, Framing()), Controls(), options)
    first = list(session.push(speech.samples[: 640 * 20]))
    assert len(first) >= 10  # of 20 frames of speech, while it goes on
    assert len(first) + len(list(session.flush())) == 20
    engine.close()
