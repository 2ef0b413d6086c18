"""The Dockerfile's steps for a CPU, carried out in a clean root file system; then the server as a container runs it makes a video."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.app_process import probe
from tests.support.clean_root import Builder, Container, memory_disk, why_not
from tests.support.dockerfile import chain, read_dockerfile
from tests.support.paths import ROOT
from tests.support.serving import KEY, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

START_S = 120.0
MAKE = """
import httpx, sys
with open("/app/assets/speech_3s.wav", "rb") as speech, open("/app/assets/portrait.png", "rb") as photo:
    files = {"audio": ("a.wav", speech), "image": ("p.png", photo)}
    answer = httpx.post("http://127.0.0.1:8000/generate", headers={"X-API-Key": sys.argv[1]}, files=files, timeout=120, trust_env=False)
answer.raise_for_status()
sys.stdout.buffer.write(answer.content)
"""
LIST = """
import importlib.metadata, json, sys
found = {each.name: each.version for each in importlib.metadata.distributions()}
print(json.dumps({"python": "%d.%d" % sys.version_info[:2], "packages": found}))
"""
LOOK = """
import json, os
def writable(path):
    try:
        open(os.path.join(path, "x"), "w").close()
        return True
    except OSError:
        return False
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
print(json.dumps({
    "user": os.getuid(), "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16), "no_new_privileges": status["NoNewPrivs"],
    "writable": [path for path in ("/", "/app", "/opt/venv", "/etc", "/usr", "/var/tmp", "/tmp", "/cache", "/models", "/outputs")
                 if writable(path)],
}))
"""


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    stages = read_dockerfile((ROOT / "Dockerfile").read_text())
    with memory_disk(tmp_path_factory.mktemp("images")) as folder:
        builder = Builder(stages, "cpu", folder)
        root = builder.make("cpu")
        stage = {key: value for each in chain(stages, "cpu")[1] for key, value in vars(each).items() if value}
        state = builder.state("cpu")
        state.environment["TALKING_HEAD_API_KEYS"] = KEY
        log = folder / "log"
        container = Container(root, state, [*stage["entry_point"], *stage["command"]], stage["volumes"], log)
        try:
            wait_for(lambda: container.ended or b"answers at" in log.read_bytes(), START_S)
            assert not container.ended, log.read_text()
            wait_for(lambda: container.run(stage["health_command"]).returncode == 0, START_S)
            yield container
        finally:
            container.kill()
            shutil.rmtree(folder, ignore_errors=True)  # a mount point stays, empty


def test_it_runs_as_a_plain_user_and_writes_only_to_its_volumes(container: Container) -> None:
    seen = container.run(["python", "-c", LOOK])
    assert seen.returncode == 0, seen.stderr
    assert json.loads(seen.stdout) == {
        "user": 1000, "capabilities": 0, "no_new_privileges": "1", "writable": ["/tmp", "/cache", "/models", "/outputs"],  # noqa: S108
    }  # fmt: skip


def test_it_has_nothing_but_what_is_pinned(container: Container) -> None:
    listed = json.loads(container.run(["python", "-c", LIST]).stdout)
    python = {"python_version": listed["python"]}
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements-lite.txt").read_text().splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("-")]
    pinned = {_plain(each.name): each.specifier for each in wanted if each.marker is None or each.marker.evaluate(python)}
    installed = {_plain(name): version for name, version in listed["packages"].items()}
    assert installed.pop("pip")  # of the environment itself
    assert installed.pop("pydantic-core")  # pydantic names its version
    assert set(installed) == set(pinned)
    assert [name for name, version in installed.items() if version not in pinned[name]] == []
    assert [name for name, bounds in pinned.items() if not any(each.operator in ("==", "<=") for each in bounds)] == []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_makes_a_video_and_ends_in_good_order(container: Container, tmp_path: Path) -> None:
    made = container.run(["python", "-c", MAKE, KEY], 180.0)
    assert made.returncode == 0, made.stderr.decode()
    video = tmp_path / "video.mp4"
    video.write_bytes(made.stdout)
    width, height, frames, seconds = probe(str(video))
    assert (width, height) == (320, 320)
    assert frames == round(seconds * 25) > 50
    assert container.stop(60.0) == 0
