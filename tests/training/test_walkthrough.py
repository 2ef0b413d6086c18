"""The commands of docs/training.md, as a newcomer types them: from three clips to a video spoken by the model they trained."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import inference
from core.media.source import load_source
from core.models.config import load_config
from core.settings import Settings
from core.types import Audio
from manager.store import Store
from tests.support.paths import PORTRAIT, ROOT
from tests.support.synthetic_checkpoints import checkpoints

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "training.md"


def commands() -> list[list[str]]:
    """Of the first block of the page, but for the set-up."""
    block = re.search(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert block is not None
    lines = [shlex.split(line) for line in block[1].splitlines()]
    assert lines[0] == ["./setup.sh", "train"]
    assert all(line[0] == ".venv/bin/python" for line in lines[1:])
    return [line[1:] for line in lines[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, videos: Path, ditto: Path, tiny: None, speech: Audio) -> Path:
    """Where the commands were run, one after the other; Ditto's own files, which are fetched, are tiny."""
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(videos, folder / "videos")
    shutil.copyfile(PORTRAIT, folder / "photo.png")
    soundfile.write(folder / "speech.wav", speech.samples[:32_000], 16_000)
    (folder / "training").symlink_to(ROOT / "training")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Store, "ensure", lambda self, *what, **more: checkpoints(ditto))
        for command in commands():
            main = importlib.import_module(command[1]).main if command[0] == "-m" else inference.main
            assert main(command[2 if command[0] == "-m" else 1 :]) == 0, command
    return folder


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "losses.jsonl").read_text().splitlines()]


def test_the_clips_are_learnt_by_heart(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "run" / "tensorboard"))
    events.Reload()
    first = events.Scalars("train/total")[0].value
    last = log(folder)[-1]["validation"]
    assert first / last["total"] >= 20
    assert last["sampled_lips_r"] >= 0.9


def test_motion_of_the_product_follows_the_clips(folder: Path) -> None:
    scores = json.loads((folder / "evaluation" / "scores.json").read_text())
    assert scores["clips"] == 3
    # Keypoints of random networks say little of the mouth (reading_r), which bounds what can be read from what is made.
    assert scores["mean"]["lips_r"] > 0.6 * scores["reading_r"] > 0.3
    assert scores["mean"]["error"] < 0.8
    assert scores["mean"]["sync_ms"] == pytest.approx(0, abs=60)
    assert scores["mean"]["sync_confidence"] > 0.2
    assert (folder / "evaluation" / "curves.png").is_file()
    assert "| diversity between seeds |" in (folder / "evaluation" / "scores.md").read_text()


def test_the_checkpoint_is_laid_out_as_published_and_says_whose_data_it_learnt(folder: Path) -> None:
    out = folder / "checkpoint"
    config = load_config(out / "ditto_cfg" / "v0.4_hubert_cfg_pytorch.pkl")
    assert config.motion.seq_frames == config.motion.lmdm_arguments["frames"] == 40
    bounds = config.defaults.v_min_max_for_clip
    assert bounds is not None
    assert bounds.shape == (4, 265)
    assert (bounds[0] <= bounds[2]).all()
    assert (out / "ditto_onnx" / "lmdm_v0.4_hubert.onnx").is_file()
    card = (out / "README.md").read_text()
    assert "The speaker signed a release." in card
    assert "Own recordings." in card


def test_the_model_speaks(folder: Path) -> None:
    """Two seconds of another recording; the mouth of the frames moves, as far as untrained pictures can tell."""
    video = load_source(folder / "video.mp4", Settings())
    frames = np.stack(list(video.frames()))  # type: ignore[union-attr]
    assert len(frames) == 50
    assert frames.astype(np.float32).std(axis=0).max() > 2
