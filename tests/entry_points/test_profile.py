"""The profile of the command line: a table of stages and a trace, for both engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

import inference
from core.stage_times import recording, stage
from tests.support.paths import PORTRAIT, SPEECH


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKING_HEAD_CACHE_DIR", str(tmp_path / "cache"))


def short_speech(tmp_path: Path, n_frames: int) -> Path:
    samples, rate_hz = soundfile.read(SPEECH)
    path = tmp_path / "short.wav"
    soundfile.write(path, samples[: n_frames * rate_hz // 25], rate_hz)
    return path


def run(tmp_path: Path, speech: Path, *more: str) -> int:
    paths = ["--audio_path", str(speech), "--source_path", str(PORTRAIT), "--output_path", str(tmp_path / "v.mp4"), "--size", "96"]
    return inference.main([*paths, *more])


def stages_of(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    written = json.loads((folder / "stages.json").read_text())
    return written, {row["stage"]: row for row in written["stages"]}


def names_in_trace(path: Path) -> set[str]:
    return {event["name"] for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"}


def test_the_lite_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, short_speech(tmp_path, 10), "--engine", "lite", "--profile", "--num_profile_runs", "2") == 0
    folder = tmp_path / "v.profile"
    written, stages = stages_of(folder)
    assert written["runs"] == 2
    assert stages["draw"]["items"] == stages["encode"]["items"] == 20  # the run before the two is not counted
    assert names_in_trace(folder / "trace.json") == set(stages) >= {"registration", "mouth", "draw", "encode"}
    assert (folder / "stages.txt").read_text() in capsys.readouterr().err


def test_ditto(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="Ditto needs torch, which is not installed")
    from tests.support.synthetic_checkpoints import FILES, TINY, tiny_networks, write_checkpoints

    root, folder = write_checkpoints(tmp_path / "checkpoints", TINY), tmp_path / "profile"
    where = ("--engine", "ditto", "--device", "cpu", "--data_root", str(root / "ditto_pytorch"), "--cfg_pkl", str(root / FILES["cfg"]))
    more = ("--set", "sampling_timesteps=2", "--batch_size", "3", "--profile", str(folder), "--profile_memory")
    with tiny_networks():
        assert run(tmp_path, short_speech(tmp_path, 6), *where, *more) == 0
    _, stages = stages_of(folder)
    assert {"registration", "speech features", "motion window", "warp", "decode", "put back", "encode"} <= set(stages)
    assert (stages["warp"]["calls"], stages["warp"]["items"]) == (2, 6)  # six frames, three at a time
    assert "aten::" in (folder / "operations.txt").read_text()
    assert json.loads((folder / "operations.json").read_text())["traceEvents"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--profile", "--num_profile_runs", "0"), "--num_profile_runs is 0"),
        (("--profile_memory",), "Say --profile too"),
        (("--batch_size", "4"), "--batch_size is for the ditto engine"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, more: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, SPEECH, "--engine", "lite", *more) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "v.mp4").exists()


def test_a_profile_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    assert run(tmp_path, short_speech(tmp_path, 4), "--engine", "lite", "--profile", str(tmp_path / "taken")) == 2
    assert "The profile cannot be written" in capsys.readouterr().err


def test_stages_are_recorded_only_within_a_recording() -> None:
    settled = []
    with stage("before"):
        pass
    with recording(lambda: settled.append(1)) as times:
        with stage("within", 5):
            pass
        with pytest.raises(ValueError, match="wrong"), stage("broken"):
            raise ValueError("wrong")
        with pytest.raises(RuntimeError, match="already"), recording():
            pass
    with stage("after"):
        pass
    assert [(span.stage, span.items) for span in times.spans] == [("within", 5)]
    assert len(settled) == 3
