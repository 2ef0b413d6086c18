"""The command line with a text instead of a recording."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

import inference
from tests.support.paths import PORTRAIT, ROOT, SPEECH
from tests.support.speech_server import KEY, speech_server


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKING_HEAD_CACHE_DIR", str(tmp_path / "cache"))


def run(*arguments: str) -> int:
    try:
        return inference.main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)


def video(output: Path) -> list[str]:
    return ["--source_path", str(PORTRAIT), "--output_path", str(output), "--size", "128"]


def sound_s(path: Path) -> float:
    with av.open(str(path)) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def test_a_text_becomes_a_video_with_sound_and_captions(tmp_path: Path) -> None:
    output, shown = tmp_path / "v.mp4", tmp_path / "v.vtt"
    arguments = [*video(output), "--text", "Hello, I am Ada.", "--captions", str(shown), "--json"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "inference.py"), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    info = json.loads(done.stdout)
    assert 0.8 < info["audio_s"] < 3
    assert sound_s(output) == pytest.approx(info["audio_s"], abs=0.1)
    header, times, text = shown.read_text("utf-8").strip().split("\n", 2)[0], *shown.read_text("utf-8").strip().split("\n")[2:4]
    assert (header, times[:17], text) == ("WEBVTT", "00:00:00.050 --> ", "Hello, I am Ada.")


def test_a_recording_has_captions_where_a_file_for_them_is_named(tmp_path: Path) -> None:
    shown = tmp_path / "v.srt"
    recording = [*video(tmp_path / "v.mp4"), "--audio_path", str(SPEECH)]
    assert run(*recording, "--captions", str(shown)) == 0
    assert shown.read_text("utf-8").startswith("1\n00:00:00,")


def test_visemes_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    told = tmp_path / "v.json"
    assert run(*video(tmp_path / "v.mp4"), "--text", "Hello, I am Ada.", "--visemes", str(told)) == 0
    document = json.loads(told.read_text("utf-8"))
    assert document["source"] == "phones"
    assert [word["text"] for word in document["words"]] == ["Hello,", "I", "am", "Ada."]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.json", "v.mp4"]
    assert run(*video(tmp_path / "v.mp4"), "--audio_path", str(SPEECH), "--set", "visemes=true") == 0
    assert json.loads((tmp_path / "v.visemes.json").read_text("utf-8"))["source"] == "sound"


def test_a_text_file_and_a_speed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text, lengths = tmp_path / "t.txt", []
    text.write_text("Guten Tag, ich heiße Ada.\n", "utf-8")
    for speed in ("1", "2"):
        more = ["--text_file", str(text), "--voice", "espeak-de", "--speed", speed, "--json"]
        assert run(*video(tmp_path / f"{speed}.mp4"), *more) == 0
        lengths.append(json.loads(capfd.readouterr().out)["audio_s"])
    assert lengths[1] < 0.7 * lengths[0]


def test_a_speech_service_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with speech_server() as server:
        monkeypatch.setenv("TALKING_HEAD_SPEECH_URL", server.url)
        monkeypatch.setenv("TALKING_HEAD_SPEECH_KEY", KEY)
        arguments = [*video(tmp_path / "v.mp4"), "--text", "A sentence of a service.", "--voice", "service-alloy"]
        assert run(*arguments) == 0
        assert [request["input"] for request in server.requests] == ["A sentence of a service."]
        assert not (tmp_path / "cache").exists(), "nothing is left behind but the video"
        assert run(*arguments, "--captions", str(tmp_path / "v.srt")) == 2
        monkeypatch.setenv("TALKING_HEAD_SPEECH_KEY", "wrong")
        assert run(*arguments[:-3], "Something else.", *arguments[-2:]) == 1
    assert "refused the key" in (told := capfd.readouterr().err)
    assert "does not tell when its words are said" in told
    assert KEY not in told
    assert sound_s(tmp_path / "v.mp4") == pytest.approx(0.48, abs=0.1)


def test_what_fails_while_the_engine_is_being_loaded_is_told(tmp_path: Path) -> None:
    """Loading holds stderr back."""
    nobody = {"TALKING_HEAD_SPEECH_URL": "http://127.0.0.1:9/v1", "TALKING_HEAD_SPEECH_MODEL": "m", "TALKING_HEAD_SPEECH_VOICES": "alloy"}
    arguments = [*video(tmp_path / "v.mp4"), "--text", "Hello.", "--voice", "service-alloy"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "inference.py"), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, **nobody, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "speech service cannot be reached" in done.stderr


def test_the_voices_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--list_voices") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["af_heart", "en-US", "natural"]
    assert any(line.startswith("espeak-de ") and " synthetic " in line for line in lines)
    assert run("--list_voices", "--json") == 0
    assert json.loads(capfd.readouterr().out)[0] == {
        "id": "af_heart", "name": "Heart", "language": "en-US", "sample_rate_hz": 24000, "licence": "Apache-2.0", "natural": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "one of --audio_path, --text and --text_file is required"),
        (["--text", "a", "--audio_path", "b.wav"], "not allowed with argument --text"),
        (["--audio_path", "b.wav", "--voice", "af_heart"], "--voice and --speed are for --text"),
        (["--text", "a", "--captions", "c.txt"], "must end in .vtt or .srt"),
        (["--text", "a", "--visemes", "v.txt"], "must end in .json"),
        (["--text", ""], "The text is empty"),
        (["--text", "x" * 5001], "5001 characters"),
        (["--text", "a\x07b"], "control character U+0007"),
        (["--text", "你好，世界"], "Chinese letters"),
        (["--text", "a", "--voice", "nobody"], "no voice 'nobody'"),
        (["--text", "a", "--speed", "3"], "speed is 3.0"),
        (["--text", "<speak>a<audio/></speak>"], "<audio>"),
        (["--text_file", "none.txt"], "none.txt does not exist"),
        (["--text", "a", "--captions", "no folder/c.vtt"], "cannot be written"),
    ],
)
def test_what_is_wrong_is_one_line(more: list[str], told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out" / "v.mp4"
    assert run(*video(output), *more) == 2
    captured = capfd.readouterr()
    assert told in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""
    assert not output.parent.exists()


def test_a_video_still_needs_a_photo_and_a_name(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--text", "Hello.") == 2
    assert "required: --source_path, --output_path" in capfd.readouterr().err
