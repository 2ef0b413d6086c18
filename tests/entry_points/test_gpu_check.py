"""The script for GPU machines, section by section on a CPU with small networks, without the packages that such a machine lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytest.importorskip("torch", reason="Ditto needs torch, which is not installed")

SCRIPT = ROOT / "scripts" / "gpu_check.sh"
FILES = {
    "env": ("env.json",),
    "kernels": ("kernels.json",),
    "parity": ("parity.json",),
    "servers": ("servers.json",),
    "stages": ("stages/stages.json", "stages/profile.txt"),
    "recording": ("recording/end_to_end.json",),
    "streams": ("streams/end_to_end.json",),
    "speech": ("speech.json",),
    "latency": ("latency.json", "latency.md"),
    "tensorrt_build": ("tensorrt_build.json",),
    "tensorrt": ("tensorrt.json",),
}
LACKING = ("av", "soxr", "mediapipe", "soundfile", "onnx", "onnxruntime", "gradio", "fastapi", "pytest", "matplotlib")


@pytest.fixture
def bare_python(tmp_path: Path) -> Path:
    """A Python in which none of LACKING can be imported."""
    site = tmp_path / "site"
    for name in LACKING:
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text(f"raise ModuleNotFoundError('{name} is not installed', name='{name}')\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def check(out: Path, python: Path | str, *sections: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OUT": str(out), "PYTHON": str(python), "DEVICE": "cpu", "SMALL": "1", **environment}
    return subprocess.run(["bash", str(SCRIPT), *sections], env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("section", FILES)
def test_a_section(section: str, tmp_path: Path, bare_python: Path) -> None:
    out = tmp_path / "with space"
    done = check(out, bare_python, section)
    assert done.returncode == 0, (out / f"{section}.log").read_text()
    for name in FILES[section]:
        text = (out / name).read_text()
        assert not name.endswith(".json") or json.loads(text).get("ok", True)
    assert (out / "summary.txt").read_text().startswith(f"{section} ")


@pytest.mark.slow
def test_the_speech_encoder_is_compared_where_there_is_something_to_compare_with(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = check(tmp_path, sys.executable, "speech")
    assert done.returncode == 0, (tmp_path / "speech.log").read_text()
    rows = json.loads((tmp_path / "speech.json").read_text())["rows"]
    assert [row["windows"] for row in rows if "error" in row] == [1, 2]


def test_a_section_that_fails_or_takes_too_long_is_said(tmp_path: Path) -> None:
    broken, slow = tmp_path / "broken", tmp_path / "slow"
    broken.write_text("#!/bin/sh\necho it broke\nexit 3\n")
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    for python in (broken, slow):
        python.chmod(0o755)
    done = check(tmp_path / "out", broken, "env", "kernels")
    assert done.returncode == 1
    assert (tmp_path / "out" / "env.log").read_text() == "it broke\n"
    assert [line.split()[:4] for line in (tmp_path / "out" / "summary.txt").read_text().splitlines()] == [
        ["env", "exit", "code", "3,"],
        ["kernels", "exit", "code", "3,"],
    ]
    assert "exit code 124" in check(tmp_path / "out", slow, "stages", SECTION_S="1").stdout


def test_a_section_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = check(tmp_path / "out", sys.executable, "warp")
    assert done.returncode == 1
    assert "there is no section warp" in (tmp_path / "out" / "warp.log").read_text()


def test_sections_are_named_in_the_help_of_the_script() -> None:
    head = SCRIPT.read_text().partition("set -uo")[0]
    assert all(f"\n#   {section}" in head for section in FILES)
