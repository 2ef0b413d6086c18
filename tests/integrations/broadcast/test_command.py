"""`python -m integrations.broadcast` as people run it: here and with a server's session, its speech, its refusals, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from core.studio import Studio
from integrations.broadcast.command import bits, main, parse_arguments
from tests.support.paths import PORTRAIT, ROOT, SPEECH
from tests.support.ports import free_port
from tests.support.rtmp_server import listening, read
from tests.support.serving import KEY, form, serving

SMALL = ("--size", "128", "--video_bitrate", "300k", "--set", "seed=7")


PROGRAM = sys.executable, "-m", "integrations.broadcast", "--to"
CLOCK = sys.executable, "examples/broadcast_clock.py"


def run(kept: Path, *arguments: str, program: tuple[str, ...] = PROGRAM, given: bytes | None = None, seconds: float = 6.0) -> str:
    """Runs it until so many seconds of stream were sent, ends it as Ctrl-C does; what it said."""
    port = free_port()
    server = listening(port, kept)
    command = [*program, f"rtmp://127.0.0.1:{port}/live/key", *arguments, *SMALL]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    assert process.stderr is not None
    said = b""
    try:
        while b"connected" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        if given is not None:
            process.stdin.write(given)
            process.stdin.flush()
        time.sleep(seconds)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.stdin.close()
        said += process.stderr.read()
        process.stderr.close()
        assert process.wait(30) == 0, said
        server.wait(30)
    return said.decode()


def loudness(path: Path) -> np.ndarray:
    """Of each tenth of a second."""
    with av.open(str(path)) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    return np.sqrt(np.mean(sound[: len(sound) // 4800 * 4800].reshape(-1, 4800) ** 2, axis=1))


@pytest.mark.slow
def test_a_recording_is_spoken_again_and_again(tmp_path: Path) -> None:
    said = run(tmp_path / "taken.flv", "--source", str(PORTRAIT), "--audio", str(SPEECH), "--loop", "--pause", "1", seconds=7)
    taken = read(tmp_path / "taken.flv")
    assert taken.codecs == {"video": "h264", "audio": "aac"}
    assert np.median(np.diff(taken.pictures)) == pytest.approx(0.04, abs=0.0015)
    assert abs(taken.pictures[-1] - taken.sounds[-1]) < 0.3
    loud = loudness(tmp_path / "taken.flv")
    assert loud.max() > 0.02
    assert (loud < 1e-4).sum() > 5, "silence is sent, too"
    assert said.rstrip().endswith("ending")


@pytest.mark.slow
def test_the_example_says_the_time(tmp_path: Path) -> None:
    run(tmp_path / "taken.flv", str(PORTRAIT), "--every", "3", "--voice", "espeak-en-us", program=CLOCK, seconds=6)
    assert loudness(tmp_path / "taken.flv").max() > 0.02


@pytest.mark.slow
def test_sound_from_stdin_is_spoken_by_the_session_of_a_server(
    studio: Studio, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(studio, tmp_path / "server") as server, server.client() as client:
        token = client.post("/avatars", **form(audio=None)).json()["token"]
        about = "--server", server.url, "--avatar", token, "--key", KEY
        run(tmp_path / "taken.flv", *about, "--pcm", given=SPEECH.read_bytes()[44:], seconds=4)
        assert loudness(tmp_path / "taken.flv").max() > 0.02
        taken = read(tmp_path / "taken.flv")
        assert np.median(np.diff(taken.pictures)) == pytest.approx(0.04, abs=0.0015)
        assert "synthetic" in taken.metadata.get("comment", "").lower()
        capfd.readouterr()
        for avatar, option, said in (("unknown", "mouth=1", "avatar"), (token, "mouth=9", "mouth")):
            wrong = "--server", server.url, "--avatar", avatar, "--key", KEY, "--set", option
            assert main(["--to", "rtmp://127.0.0.1/live/key", *wrong]) == 1
            assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "out.mp4", "--source", "a.png"], "neither an address nor a camera"),
        (["--to", "http://a/b", "--source", "a.png"], "neither an address nor a camera"),
        (["--to", "rtmp://host", "--source", "a.png"], "no address of a stream"),
        (["--to", "rtmp://a/b/c", "--source", "nobody.png"], "nobody.png"),
        (["--to", "rtmp://a/b/c", "--source", str(PORTRAIT), "--size", "large"], "--size is 'large'"),
        (["--to", "rtmp://a/b/c", "--source", str(PORTRAIT), "--audio", "none.wav"], "none.wav"),
        (["--to", "rtmp://a/b/c", "--source", str(PORTRAIT), "--set", "burn_captions=true"], "captions"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "a.png"], "--to"),
        (["--to", "rtmp://a/b/c"], "one of the arguments --source --server is required"),
        (["--to", "rtmp://a/b/c", "--server", "http://a"], "--avatar"),
        (["--to", "rtmp://a/b/c", "--source", "a.png", "--loop"], "--loop is for --audio"),
        (["--to", "rtmp://a/b/c", "--source", "a.png", "--pcm", "--rate", "1"], "--rate is 1"),
        (["--to", "rtmp://a/b/c", "--source", "a.png", "--video_bitrate", "1k"], "100k to 50M"),
        (["--to", "rtmp://a/b/c", "--source", "a.png", "--video_bitrate", "fast"], "no number of bits"),
        (["--to", "@/nowhere/at/all", "--source", "a.png"], "/nowhere/at/all cannot be read (No such file or directory)"),
    ],
)
def test_arguments_that_do_not_fit(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capfd.readouterr().err


def test_where_to_may_stand_in_a_file(tmp_path: Path) -> None:
    """The key of a stream on the command line is seen by all who list processes."""
    (tmp_path / "key").write_text("rtmps://host.example/live/hidden\n")
    assert parse_arguments(["--to", f"@{tmp_path / 'key'}", "--source", "a.png"]).to == ["rtmps://host.example/live/hidden"]


def test_bits_are_written_as_people_write_them() -> None:
    assert [bits(each) for each in ("2500k", "4M", "1.5M", "64000")] == [2_500_000, 4_000_000, 1_500_000, 64_000]
