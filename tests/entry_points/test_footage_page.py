"""The commands of docs/footage.md, run one after the other as they stand there, with its lists and files by its names."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.media.image import load_image
from core.settings import Settings
from tests.support.clip_files import RATE_HZ, clip_file
from tests.support.paths import PORTRAIT, ROOT, SPEECH

PAGE = (ROOT / "docs" / "footage.md").read_text("utf-8")
PYTHON = ".venv/bin/python"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """What each command said, in a folder that has the files of the page."""
    folder = tmp_path_factory.mktemp("footage")
    samples, rate_hz = soundfile.read(SPEECH)
    for name in ("monday", "tuesday"):
        soundfile.write(folder / f"{name}.wav", samples[: int(0.6 * rate_hz)], rate_hz)
    soundfile.write(folder / "speech.wav", samples, rate_hz)  # long enough for a sync report
    (folder / "photo.jpg").write_bytes(PORTRAIT.read_bytes())
    hum = 0.1 * np.sin(np.arange(RATE_HZ // 2) / 5)
    pictures = [np.roll(load_image(PORTRAIT, Settings()).pixels, i, axis=1) for i in range(15)]
    (folder / "clip.mp4").write_bytes(clip_file(pictures, rate=30, sound=hum.astype(np.float32)))
    (folder / "list.csv").write_text(*blocks("csv"), "utf-8")
    (folder / "list.jsonl").write_text(*blocks("jsonl"), "utf-8")
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "TALKING_HEAD_CACHE_DIR": str(folder / "cache"), "TALKING_HEAD_VOICE": "espeak-en-us",
    }  # fmt: skip
    done = {}
    for command in commands():
        program, *arguments = shlex.split(command, comments=True)
        assert program == PYTHON, command
        if arguments[0].endswith(".py"):
            arguments[0] = str(ROOT / arguments[0])
        done[command] = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )  # fmt: skip
    return done


@pytest.mark.parametrize("command", commands())
def test_each_command_does_its_work(command: str, told: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert told[command].returncode == 0, told[command].stderr


def test_the_list_is_made_once(told: dict[str, subprocess.CompletedProcess[str]]) -> None:
    again = next(done for command, done in told.items() if "--jobs list.csv --json" in command)
    found = json.loads(again.stdout.splitlines()[-1])
    assert (found["made"], found["kept"]) == (0, 3)
    assert [Path(job["output"]).name for job in found["jobs"]] == ["monday.mp4", "tuesday.mp4", "wednesday.mp4"]


def test_flags_hold_where_rows_say_nothing(told: dict[str, subprocess.CompletedProcess[str]]) -> None:
    made = next(done for command, done in told.items() if "--jobs list.jsonl" in command)
    assert made.stdout.splitlines()[-1].startswith("2 made")
