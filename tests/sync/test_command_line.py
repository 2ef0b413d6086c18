"""`python -m core.sync`: exit codes, words, JSON, the picture, one line for an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.sync.__main__ import main
from core.sync.report import Second, SyncReport
from core.sync.words import summary, verdict
from core.types import Audio, Frame
from tests.support.paths import ROOT
from tests.sync.conftest import MakeVideo, moved


def test_a_video_in_time(
    frames: list[Frame], speech: Audio, make_video: MakeVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(make_video(frames, speech.samples)), "--plot", str(tmp_path / "sync.png")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("video.mp4\n  in sync: ")
    assert "share" not in said
    assert "100 % of it fits" in said
    assert "0 s  ###" in said
    with Image.open(tmp_path / "sync.png") as plot:
        assert plot.size == (1600, 900)
        assert len(plot.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).getcolors() or []) > 20


def test_a_late_picture_is_told_as_json(
    frames: list[Frame], speech: Audio, make_video: MakeVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(frames, moved(speech.samples, 240))
    assert main([str(video), "--json", "--plot", str(tmp_path / "sync.png")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(video)
    assert told["offset_ms"] == pytest.approx(240, abs=20)
    assert (told["fits"], told["in_time"], told["reason"]) == (True, False, "")
    assert {"from_s", "speech", "seen", "correlation", "fits"} == set(told["timeline"][0])
    assert main([str(video)]) == 1
    assert "out of sync: the picture is 2" in capsys.readouterr().out


def test_silence_in_words_and_in_a_picture(
    frames: list[Frame], make_video: MakeVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(make_video(frames, np.zeros(48_000, np.float32))), "--plot", str(tmp_path / "sync.png")]) == 1
    assert "no confidence: nobody speaks in its sound" in capsys.readouterr().out
    assert (tmp_path / "sync.png").stat().st_size > 5000


def report(confidence: float, offset_ms: float) -> SyncReport:
    second = Second(0.0, 1.0, 1.0, 0.5, True)
    return SyncReport(offset_ms, confidence, 0.4, "" if confidence > 0.4 else "unlike", 4.2, 0.84, (second,))


def test_no_share_of_what_does_not_fit() -> None:
    """Each of its seconds is compared at an offset that is chance: some always fit."""
    fits, unlike = "\n".join(summary("a.mp4", report(0.9, 8.0))), "\n".join(summary("a.mp4", report(0.3, 8.0)))
    assert "84 % of it fits" in fits
    assert "of it fits" not in unlike
    assert "happens to fit best" in unlike


def test_nothing_is_zero_milliseconds_late() -> None:
    assert verdict(report(0.9, -0.3)) == "in sync: neither picture nor sound is late"
    assert verdict(report(0.9, -8.0)).startswith("in sync: the sound is 8 ms late")


def test_an_error_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("This is no video.")
    command = [sys.executable, "-W", "error", "-m", "core.sync", str(tmp_path / "text.mp4")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("text.mp4 is not a video")
    assert ran.stderr.count("\n") == 1


def test_where_the_picture_cannot_be_written_nothing_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.mp4"), "--plot", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
