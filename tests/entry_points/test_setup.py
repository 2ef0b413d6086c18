"""setup.sh: what it says when something is missing, and that it never repeats or trusts half an installation."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))
SOURCED = sorted((ROOT / "setup").glob("*.sh"))
INCLUDES = {"requirements-dev.txt": "-r requirements-speech.txt"}
TOOLS = ("bash", "cat", "df", "dirname", "grep", "mkdir", "readlink", "rm", "sed", "tail", "tr", "uname")


def write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Project:
    """A copy of the set-up files in a path with spaces, run with a PATH that holds only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a project" / "with spaces"
        self.bin = folder / "bin"
        self.root.mkdir(parents=True)
        self.bin.mkdir()
        for path in (ROOT / "setup.sh", *REQUIREMENTS):
            shutil.copy(path, self.root)
        shutil.copytree(ROOT / "setup", self.root / "setup")
        for name in TOOLS:
            found = shutil.which(name)
            assert found, f"{name} is not on this machine"
            (self.bin / name).symlink_to(found)

    @property
    def state(self) -> Path:
        return self.root / ".venv" / ".setup"

    def fake(self, name: str, body: str) -> None:
        write_script(self.bin / name, f"#!{shutil.which('bash')}\n{body}\n")

    def real_python(self) -> None:
        self.fake("python3", f'exec "{getattr(sys, "_base_executable", sys.executable)}" "$@"')

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.root / "setup.sh"), *arguments],
            cwd="/",
            env={"PATH": str(self.bin), "HOME": str(self.root), "SETUP_CPU": "1", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def installed(self, *more: str) -> None:
        """An environment that looks finished: a Python, and the stamps setup.sh itself computes. more: parts beside the usual."""
        python = self.root / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        self.state.mkdir()
        write_script(python, f'#!{shutil.which("bash")}\nexec "{sys.executable}" "$@"\n')
        command = [sys.executable, "-I", "setup/stamps.py", "write", str(self.state), "lite", "libraries", *more]
        subprocess.run(command, cwd=self.root, check=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    # The shebang is `env bash`, so the fake PATH is all the script sees.
    project = Project(tmp_path)
    (project.bin / "env").symlink_to(shutil.which("env") or "/usr/bin/env")
    return project


@pytest.mark.parametrize("name", ["setup.sh", ".ci/run"])
def test_scripts_parse_and_are_executable(name: str) -> None:
    subprocess.run(["bash", "-n", ROOT / name], check=True)
    assert os.access(ROOT / name, os.X_OK)


@pytest.mark.parametrize("path", SOURCED, ids=lambda path: path.name)
def test_sourced_scripts_parse(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)


def test_setup_keeps_to_the_bash_of_macos() -> None:
    newer = re.compile(r"mapfile|readarray|declare -A|local -n|&>>|\$\{\w+(,,|\^\^)|coproc|EPOCHSECONDS")
    lines = [line for path in (ROOT / "setup.sh", *SOURCED) for line in path.read_text().splitlines()]
    assert not [line for line in lines if newer.search(line) and not line.startswith("#")]


def test_every_requirement_is_pinned_and_opencv_and_onnxruntime_are_single() -> None:
    names = {}
    for path in REQUIREMENTS:
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        pins = [line for line in lines if not line.startswith("-r ")]
        exact = re.compile(r"[A-Za-z0-9_.-]+(\[[a-z]+\])?==[0-9][0-9a-z.]*(; python_version >= \"3\.\d+\")?")
        # A Space takes the lower end of pydantic's range (test_front_matter.py).
        assert all(exact.fullmatch(pin) or re.fullmatch(r"pydantic>=[\d.]+,<=[\d.]+", pin) for pin in pins), path.name
        assert [line for line in lines if line.startswith("-r ")] in ([], [INCLUDES.get(path.name, "-r requirements-lite.txt")]), path.name
        names[path.name] = {pin.split("==")[0].lower() for pin in pins}
        assert len(names[path.name]) == len(pins), f"{path.name} names a package twice"
    assert {n for part in names.values() for n in part if n.startswith("opencv")} == {"opencv-contrib-python"}
    assert not names["requirements-lite.txt"] & {"torch", "librosa", "onnxruntime"}
    assert "onnxruntime" in names["requirements.txt"]
    assert not names["requirements-speech.txt"] & {"onnxruntime", "onnxruntime-gpu"}
    assert "onnxruntime" not in names["requirements-gpu.txt"]
    assert names["requirements.txt"] ^ names["requirements-gpu.txt"] == {"onnxruntime", "onnxruntime-gpu"}


def test_unknown_command_is_named_and_changes_nothing(project: Project) -> None:
    done = project.run("dmeo")
    assert done.returncode == 2
    assert "no command 'dmeo'" in done.stderr
    assert "usage:" in done.stderr
    assert not (project.root / ".venv").exists()


def test_help_works_under_a_plain_sh(project: Project) -> None:
    done = subprocess.run(["sh", str(project.root / "setup.sh"), "help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout


def test_a_link_to_the_script_finds_the_project(project: Project, tmp_path: Path) -> None:
    project.installed()
    link = tmp_path / "elsewhere.sh"
    link.symlink_to(project.root / "setup.sh")
    done = subprocess.run([str(link)], cwd="/", capture_output=True, text=True, env={"PATH": str(project.bin), "SETUP_CPU": "1"})
    assert done.returncode == 0, done.stderr


def test_no_python_is_said(project: Project) -> None:
    done = project.run()
    assert done.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13 found" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_an_old_python_is_named_and_a_command_that_does_not_run_is_passed_over(project: Project) -> None:
    project.fake("python3", "echo 'cpython 3.9'")
    project.fake("python3.13", "echo 'python3.13: command not found' >&2; exit 127")  # as the shims of version managers do
    done = project.run()
    assert done.returncode == 1
    assert "python3 is cpython 3.9" in done.stderr


def test_a_missing_venv_module_is_one_line_to_install(project: Project) -> None:
    project.fake("python3", "echo no-venv")
    done = project.run()
    assert done.returncode == 1
    assert "sudo apt-get install python3-venv" in done.stderr


def test_a_python_that_was_asked_for_and_does_not_fit_is_named(project: Project) -> None:
    project.real_python()
    done = project.run(PYTHON="/nowhere/python3")
    assert done.returncode == 1
    assert "/nowhere/python3" in done.stderr


def test_a_full_disk_is_said_before_anything_is_made(project: Project) -> None:
    project.real_python()
    (project.bin / "df").unlink()
    project.fake("df", "echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'; echo 'map disk 9 8 204800 99% /a b'")
    done = project.run()
    assert done.returncode == 1
    assert "200 MB are free" in done.stderr
    assert not (project.root / ".venv").exists()


def test_an_unreachable_index_is_said_and_the_next_run_goes_on(project: Project) -> None:
    project.real_python()
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "no_proxy": "127.0.0.1"}
    for made_anew in (True, False):
        done = project.run(**offline)
        assert done.returncode == 1
        assert "no connection to the package index" in done.stderr
        assert ("Making .venv" in done.stdout) is made_anew
        assert not (project.state / "lite").exists()


def test_a_finished_environment_starts_at_once(project: Project) -> None:
    project.installed()
    done = project.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ready.")


def test_the_voices_are_installed_by_a_command_of_their_own(project: Project) -> None:
    project.installed()
    (project.bin / "df").unlink()
    project.fake("df", "echo 'disk 9 8 1024 99% /'")  # stops the run where the installation would begin
    assert project.run().returncode == 0
    done = project.run("speech")
    assert done.returncode == 1
    assert "MB of disk are needed" in done.stderr


def test_installed_voices_are_ready_at_once(project: Project) -> None:
    project.installed("speech")
    done = project.run("speech")
    assert done.returncode == 0, done.stderr
    assert "--list_voices" in done.stdout


def test_pipecat_has_an_environment_of_its_own(project: Project) -> None:
    project.installed()
    project.real_python()
    (project.bin / "df").unlink()
    project.fake("df", "echo 'disk 9 8 1024 99% /'")  # stops the run where the environment would be made
    done = project.run("pipecat")
    assert done.returncode == 1
    assert "MB of disk are needed" in done.stderr
    assert not (project.root / ".venv-pipecat").exists()
    assert project.run().stdout.startswith("Ready.")
    (project.root / ".venv-pipecat").mkdir()
    assert ".venv-pipecat is there, but this script did not make it." in project.run("pipecat").stderr


def test_changed_requirements_are_installed_again(project: Project) -> None:
    project.installed()
    with (project.root / "requirements-lite.txt").open("a") as file:
        file.write("# changed\n")
    (project.bin / "df").unlink()
    project.fake("df", "echo 'disk 9 8 1024 99% /'")  # stops the run where the installation would begin
    done = project.run()
    assert done.returncode == 1
    assert "MB of disk are needed" in done.stderr


@pytest.mark.parametrize("log", ["Collecting numpy\n", "Installing collected packages: numpy\n"])
def test_an_installation_killed_while_unpacking_is_not_trusted(project: Project, log: str) -> None:
    project.installed()
    (project.state / "installing").write_text("999999999 packages\n")
    (project.state / "install.log").write_text(log)
    done = project.run()  # no Python on the PATH: making .venv anew stops there
    if "Installing" in log:
        assert "interrupted; making .venv anew" in done.stdout
        assert done.returncode == 1
    else:
        assert done.returncode == 0, done.stderr


def test_an_environment_of_someone_else_is_left_alone(project: Project) -> None:
    (project.root / ".venv").mkdir()
    (project.root / ".venv" / "mine").write_text("mine")
    done = project.run()
    assert done.returncode == 1
    assert "did not make it" in done.stderr
    assert (project.root / ".venv" / "mine").exists()


def test_a_missing_system_library_is_one_line_to_install(project: Project) -> None:
    project.installed()
    (project.state / "libraries").unlink()
    python = project.root / ".venv" / "bin" / "python"
    missing = "libGL.so.1: cannot open shared object file: No such file or directory"
    body = f'#!{shutil.which("bash")}\nfor a in "$@"; do case "$a" in *"import cv2"*) echo "{missing}"; exit 0;; esac; done\n'
    write_script(python, body + f'exec "{sys.executable}" "$@"\n')
    (project.bin / "uname").unlink()
    project.fake("uname", "echo Linux")
    done = project.run()
    assert done.returncode == 1
    assert "libGL.so.1" in done.stderr
    assert "sudo apt-get install -y libgl1 libglib2.0-0 libegl1 libgles2" in done.stderr
    assert not (project.state / "libraries").exists()


@pytest.mark.slow
def test_a_clean_installation_needs_one_run(project: Project) -> None:
    project.real_python()
    environment = {name: value for name, value in os.environ.items() if name not in {"PATH", "PYTHON"}}
    command = [str(project.root / "setup.sh")]
    environment |= {"PATH": f"{project.bin}:{os.environ['PATH']}", "SETUP_CPU": "1"}
    first = subprocess.run(command, cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    assert first.returncode == 0, first.stderr
    check = subprocess.run([str(project.root / ".venv/bin/python"), "-m", "pip", "check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    again = subprocess.run(command, cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert again.stdout.startswith("Ready.")
