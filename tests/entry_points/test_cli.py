"""The command line as a user meets it: exit codes, one line for an error, JSON, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import inference
from tests.support.backdrops import BLUE, RED, backdrop, first_frame, is_behind
from tests.support.cat import AS_TEXT, CAT, LANDMARKS
from tests.support.paths import PORTRAIT, ROOT, SPEECH


def command(audio: Path, photo: Path, output: Path, *more: str) -> list[str]:
    paths = ["--audio_path", str(audio), "--source_path", str(photo), "--output_path", str(output)]
    return [sys.executable, str(ROOT / "inference.py"), *paths, *more]


def test_json_and_exit_code_from_another_folder(tmp_path: Path) -> None:
    output = tmp_path / "with space" / "v.mp4"
    done = subprocess.run(command(SPEECH, PORTRAIT, output, "--json", "--seed", "7"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # not a terminal: no bar; and no native log either
    info = json.loads(done.stdout.splitlines()[-1])
    expected = {"engine": "lite", "fps": 25, "width": 320, "height": 320, "seed": 7, "output": str(output)}
    assert {key: info[key] for key in expected} == expected
    assert {"frames", "audio_s", "wall_s", "rtf", "first_frame_ms"} <= set(info)
    assert output.stat().st_size > 10_000


def test_the_lite_path_imports_no_heavy_package(tmp_path: Path) -> None:
    code = (
        "import sys, inference\n"
        f"assert inference.main(['--audio_path', {str(SPEECH)!r}, '--source_path', {str(PORTRAIT)!r}, "
        f"'--output_path', {str(tmp_path / 'v.mp4')!r}, '--size', '128']) == 0\n"
        "print(sorted({'torch', 'gradio', 'librosa'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def _silence(path: Path) -> Path:
    soundfile.write(path, np.zeros(16_000, np.float32), 16_000)
    return path


def _text(path: Path) -> Path:
    path.write_text("this is neither sound nor picture\n" * 50)
    return path


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _noise(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(path)
    return path


def _tiny(path: Path) -> Path:
    Image.new("RGB", (16, 16)).save(path)
    return path


def _short(path: Path) -> Path:
    soundfile.write(path, np.zeros(160, np.float32), 16_000)
    return path


def _nan(path: Path) -> Path:
    soundfile.write(path, np.full(16_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    return path


def _same(path: Path) -> Callable[[Path], Path]:
    return lambda _: path


BAD = {
    "audio missing": (lambda p: p / "none.wav", None, "none.wav"),
    "audio empty": (lambda p: _empty(p / "a.wav"), None, "empty"),
    "audio is text": (lambda p: _text(p / "a.wav"), None, "a.wav"),
    "audio is an image": (_same(PORTRAIT), None, "image"),
    "audio 10 ms": (lambda p: _short(p / "a.wav"), None, "10 ms"),
    "audio NaN": (lambda p: _nan(p / "a.wav"), None, "NaN"),
    "photo missing": (None, lambda p: p / "none.png", "none.png"),
    "photo empty": (None, lambda p: _empty(p / "i.png"), "empty"),
    "photo is text": (None, lambda p: _text(p / "i.png"), "i.png"),
    "photo is a recording": (None, _same(SPEECH), "recording"),
    "photo 16x16": (None, lambda p: _tiny(p / "i.png"), "16"),
    "photo without face": (None, lambda p: _noise(p / "i.png"), "No face"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_audio, make_photo, expected = BAD[case]
    audio = make_audio(tmp_path) if make_audio else SPEECH
    photo = make_photo(tmp_path) if make_photo else PORTRAIT
    output = tmp_path / "out" / "v.mp4"
    assert inference.main(command(audio, photo, output)[2:]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert expected in captured.err
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--size", "63"], "size is 63"),
        (["--size", "big"], "--size is 'big'"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "x"], "--seed is 'x'"),
        (["--aspect", "2:1"], "--aspect"),
        (["--crop", "0,0,2,1"], "crop is (0.0, 0.0, 2.0, 1.0)"),
        (["--face", "4"], "Face 4"),
        (["--engine", "best"], "--engine"),
        (["--nonsense"], "--nonsense"),
        (["--output_path", "video.avi"], ".mp4"),
    ],
)
def test_bad_options(more: list[str], expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = inference.main([*command(SPEECH, PORTRAIT, tmp_path / "v.mp4")[2:], *more])
    except SystemExit as error:
        code = error.code  # type: ignore[assignment]
    captured = capfd.readouterr()
    assert code == 2
    assert expected in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_ditto_that_cannot_run_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub.constants  # noqa: F401 - it reads the variable when imported, and would keep it for all later tests

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DITTO_MODELS_DIR", str(tmp_path / "models"))
    assert inference.main([*command(SPEECH, PORTRAIT, tmp_path / "v.mp4")[2:], "--engine", "ditto"]) == 1
    error = capfd.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert "ditto" in error
    assert "model_manager.py download" in error or "pip install" in error
    assert not (tmp_path / "v.mp4").exists()


def test_too_long_audio_names_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TALKING_HEAD_MAX_AUDIO_S", "2")
    assert inference.main(command(SPEECH, PORTRAIT, tmp_path / "v.mp4")[2:]) == 2
    assert "2" in capfd.readouterr().err


def test_a_bad_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TALKING_HEAD_MAX_AUDIO_S", "long")
    assert inference.main(command(SPEECH, PORTRAIT, tmp_path / "v.mp4")[2:]) == 2
    assert "TALKING_HEAD_MAX_AUDIO_S is 'long'" in capfd.readouterr().err


def test_silence_makes_a_video(tmp_path: Path) -> None:
    output = tmp_path / "v.mp4"
    assert inference.main([*command(_silence(tmp_path / "a.wav"), PORTRAIT, output)[2:], "--size", "128"]) == 0
    assert output.exists()


def test_random_seed_is_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [*command(_silence(tmp_path / "a.wav"), PORTRAIT, tmp_path / "v.mp4")[2:], "--size", "128", "--seed", "random", "--json"]
    seeds = []
    for _ in range(2):
        assert inference.main(arguments) == 0
        seeds.append(json.loads(capfd.readouterr().out.splitlines()[-1])["seed"])
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_and_leaves_nothing(end: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    arguments = command(ROOT / "assets/speech_16s.wav", PORTRAIT, folder / "v.mp4", "--size", "1280")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder.exists() and any(folder.iterdir())):  # the encoder has opened its temporary file: work is under way
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, end)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_picture_behind_the_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "v.mp4"
    asked = [*command(SPEECH, PORTRAIT, output, "--size", "128")[2:], "--background"]
    assert inference.main([*asked, str(backdrop(tmp_path / "red.png"))]) == 0
    assert is_behind(RED, first_frame(output))
    assert inference.main([*asked, "#1428be"]) == 0
    assert is_behind(BLUE, first_frame(output))
    capsys.readouterr()
    for wrong, said in ((SPEECH, "is not a photo"), (tmp_path / "beach.jpg", "beach.jpg")):
        assert inference.main([*asked, str(wrong)]) == 2
        assert said in capsys.readouterr().err
    assert inference.main([*asked, str(tmp_path / "red.png"), "--engine", "ditto"]) == 2
    assert "background" in capsys.readouterr().err


def test_a_face_that_is_not_found_is_marked(tmp_path: Path) -> None:
    given = ["--audio_path", str(SPEECH), "--source_path", str(CAT), "--size", "64"]
    assert inference.main([*given, "--output_path", str(tmp_path / "cat.mp4"), "--landmarks", AS_TEXT]) == 0
    assert inference.main([*given, "--output_path", str(tmp_path / "none.mp4")]) == 2
    assert inference.main([*given, "--output_path", str(tmp_path / "none.mp4"), "--landmarks", "0.5,0.5"]) == 2
    rows = [{"audio": str(SPEECH), "source": str(CAT), "output": "by_list.mp4", "size": 64, "landmarks": LANDMARKS}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "list.csv").write_text(f"audio,source,output,size,landmarks\n{SPEECH},{CAT},by_table.mp4,64,\"{AS_TEXT}\"\n")
    for name in ("list.jsonl", "list.csv"):
        assert inference.main(["--jobs", str(tmp_path / name)]) == 0
    assert {path.name for path in tmp_path.glob("*.mp4")} == {"cat.mp4", "by_list.mp4", "by_table.mp4"}
