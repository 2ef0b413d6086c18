"""Lists of videos on the command line: exit codes, lines, JSON, a stop and the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import inference
from tests.support.paths import LONG_SPEECH, PORTRAIT, ROOT, SPEECH

CSV = f"audio,source,output,size\n{SPEECH},{PORTRAIT},a.mp4,96\n{SPEECH},{PORTRAIT},b.mp4,128\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKING_HEAD_CACHE_DIR", str(tmp_path / "cache"))


def run(*arguments: object) -> int:
    try:
        return inference.main([str(each) for each in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)


def listed(tmp_path: Path, text: str = CSV, name: str = "list.csv") -> Path:
    path = tmp_path / "a folder" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_lines_for_people_and_an_object_for_programs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = listed(tmp_path)
    assert run("--jobs", path) == 0
    told = capfd.readouterr()
    assert told.err == ""
    assert {path.parent / name for name in ("a.mp4", "b.mp4")} == {
        Path(line.split(" ", 1)[1].split(": ")[0]) for line in told.out.splitlines()[:2]
    }
    assert told.out.splitlines()[2].startswith("2 made, in ")
    assert run("--jobs", path, "--json") == 0
    (line,) = capfd.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["made"], found["kept"], found["failed"], found["left"]) == (0, 2, 0, 0)
    assert [(job["line"], job["output"], job["state"]) for job in found["jobs"]] == [
        (2, str(path.parent / "a.mp4"), "kept"), (3, str(path.parent / "b.mp4"), "kept"),
    ]  # fmt: skip
    assert [job["info"]["width"] for job in found["jobs"]] == [96, 128]


def test_flags_hold_for_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "face.png").write_bytes(PORTRAIT.read_bytes())
    rows = [{"audio": str(SPEECH), "output": "a.mp4", "size": 96}, {"text": "Hello", "voice": "espeak-de", "output": "b.mp4"}]
    path = listed(tmp_path, "\n".join(map(json.dumps, rows)), "list.jsonl")
    monkeypatch.chdir(tmp_path)
    flags = ["--source_path", "face.png", "--size", "128", "--set", "head_motion=0", "--seed", "5", "--at_once", "1", "--json"]
    assert run("--jobs", path, *flags) == 0
    found = json.loads(capfd.readouterr().out)
    assert [(job["info"]["width"], job["info"]["seed"]) for job in found["jobs"]] == [(96, 5), (128, 5)]


def test_nothing_is_made_where_a_row_is_wrong(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = listed(tmp_path, f"{CSV}none.wav,{PORTRAIT},c.mp4,96\n")
    assert run("--jobs", path, "--json") == 2
    told = capfd.readouterr()
    assert told.err.startswith("list.csv, line 4: The recording ")
    assert told.err.endswith("Nothing was made: 1 row is wrong.\n")
    assert json.loads(told.out)["wrong"][0]["line"] == 4
    assert list(path.parent.iterdir()) == [path]


def test_a_video_that_fails_is_told_at_the_end_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = listed(tmp_path, f"audio,source,output,size,face_index\n{SPEECH},{PORTRAIT},a.mp4,96,\n{SPEECH},{PORTRAIT},b.mp4,96,4\n")
    assert run("--jobs", path) == 1
    told = capfd.readouterr()
    assert told.out.splitlines()[-1].startswith("1 made, 1 failed, in ")
    assert len(told.err.splitlines()) == 2
    assert told.err.splitlines()[-1].startswith("failed: line 3, b.mp4: Face 4")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--output_path", "v.mp4"], "--output_path is for one video"),
        (["--captions", "v.vtt"], "--captions is for one video"),
        (["--profile"], "--profile is for one video"),
        (["--at_once", "0"], "--at_once is 0"),
        (["--preset", "fast", "--engine", "lite"], "--preset is for the ditto engine"),
        (["--background", "beach.jpg"], "beach.jpg"),
    ],
)
def test_flags_that_do_not_go_with_a_list(more: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = listed(tmp_path)
    assert run("--jobs", path, *more) == 2
    assert said in capfd.readouterr().err
    assert list(path.parent.iterdir()) == [path]
    assert run("--at_once", "3", "--audio_path", SPEECH, "--source_path", PORTRAIT, "--output_path", tmp_path / "v.mp4") == 2
    assert "--at_once is for --jobs" in capfd.readouterr().err


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_and_the_same_command_again(end: signal.Signals, tmp_path: Path) -> None:
    rows = "".join(f"{LONG_SPEECH},{PORTRAIT},{n}.mp4,640\n" for n in range(2, 7))
    path = listed(tmp_path, f"audio,source,output,size\n{SPEECH},{PORTRAIT},1.mp4,96\n{rows}")
    command = [sys.executable, str(ROOT / "inference.py"), "--jobs", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "1.mp4: 75 frames" in process.stdout.readline()
    os.kill(process.pid, end)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "stopped; the same command goes on with what is left\n"
    assert " left, in " in out.splitlines()[-1]
    left = {each.name for each in path.parent.iterdir()} - {"list.csv"}
    whole = {name for name in left if name.endswith(".mp4")}
    assert "1.mp4" in whole
    assert left == whole | {f"{name}.job.json" for name in whole}
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:2]), "utf-8")  # the rest would take long
    began = (path.parent / "1.mp4").stat().st_mtime_ns
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"1/1 {path.parent / '1.mp4'}: made before")
    assert (path.parent / "1.mp4").stat().st_mtime_ns == began
