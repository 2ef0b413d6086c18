"""Gradio's own environment variables in the programs that show pages: followed, outranked by options, refused where they cannot be."""

from __future__ import annotations

import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from core.settings import load_settings
from core.web.gradio_environment import root_path, server_name, server_port
from tests.support.app_process import Server, start_app, stop_app
from tests.support.paths import ASSETS, ROOT
from tests.support.server_process import running

pytestmark = pytest.mark.slow

PHOTO = (ASSETS / "portrait.png").read_bytes()
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only this machine reaches the machine of the tests
VISITOR = {"Cookie": f"talking_head_visitor={secrets.token_hex(24)}"}


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def told(server: Server) -> str:
    found = re.search(r"open (http://\S+/) ", server.log.read_text())
    assert found, server.log.read_text()
    return found[1]


def listens_on(port: int) -> str:
    """The address of the socket that listens on a port, as the kernel has it: in hexadecimal digits."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return next(line.split()[1].split(":")[0] for line in lines if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A")


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="this system does not tell what listens where")
@pytest.mark.parametrize("program", ["app.py", "app_optimized.py"])
def test_the_environment_says_where_to_listen(program: str, tmp_path: Path) -> None:
    port = free()
    server = start_app(
        tmp_path, (str(ROOT / program),), port=port, told=False, GRADIO_SERVER_NAME=EVERYWHERE, GRADIO_SERVER_PORT=str(port),
    )  # fmt: skip
    try:
        assert listens_on(port) == "00000000"
        assert httpx.get(f"http://127.0.0.1:{port}/config", trust_env=False).status_code == 200
    finally:
        stop_app(server)


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="this system does not tell what listens where")
def test_options_win(tmp_path: Path) -> None:
    server = start_app(tmp_path, (str(ROOT / "app_optimized.py"),), GRADIO_SERVER_NAME=EVERYWHERE, GRADIO_SERVER_PORT=str(free()))
    try:
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        assert told(server) == f"http://127.0.0.1:{port}/"
        assert listens_on(port) == "0100007F"
    finally:
        stop_app(server)


@pytest.mark.parametrize(("name", "value"), [("SERVER_PORT", "x"), ("SERVER_PORT", "70000"), ("ROOT_PATH", "ftp://a/b")])
def test_what_cannot_be_is_refused_with_one_line(name: str, value: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "app_optimized.py")]
    folders = {"HOME": str(tmp_path), "TALKING_HEAD_OUTPUT_DIR": str(tmp_path)}
    environment = {"PATH": "/usr/bin:/bin", **folders, "GRADIO_SERVER_PORT": "0", f"GRADIO_{name}": value}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert f"GRADIO_{name} is {value!r}." in ended.stderr


def test_a_path_behind_a_proxy(tmp_path: Path) -> None:
    """The proxy takes the path off; what the page asks for has it in front again."""
    server = start_app(tmp_path, (str(ROOT / "app_optimized.py"),), GRADIO_ROOT_PATH="/talk/")
    try:
        config = httpx.get(f"{server.url}config", trust_env=False).json()
        assert config["root"] == f"{server.url}talk"
    finally:
        stop_app(server)


def test_a_whole_address_behind_a_proxy_is_known(tmp_path: Path) -> None:
    server = start_app(tmp_path, (str(ROOT / "app_optimized.py"),), GRADIO_ROOT_PATH="https://talk.example/face")
    try:
        with httpx.Client(base_url=server.url, headers=VISITOR, trust_env=False) as client:
            answer = client.get("config", headers={"Host": "talk.example"})
            assert answer.status_code == 200
            assert answer.json()["root"].endswith("//talk.example/face")
            assert client.get("config", headers={"Host": "evil.example"}).status_code == 421
            for origin, status in (("https://talk.example", 200), ("http://talk.example", 403), ("https://evil.example", 403)):
                answer = client.post("gradio_api/upload", headers={"Origin": origin}, files={"files": ("x.png", PHOTO)})
                assert answer.status_code == status, origin
    finally:
        stop_app(server)


def test_the_page_of_the_server_behind_a_proxy(tmp_path: Path) -> None:
    with running(tmp_path, GRADIO_ROOT_PATH="https://talk.example/face") as server, server.client("") as client:
        page = client.get("/", headers={"Accept": "text/html"})
        assert page.headers["location"] == "/face/login"


def test_uploads_go_below_the_folder_of_gradio(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    server = start_app(tmp_path, (str(ROOT / "app_optimized.py"),), TALKING_HEAD_OUTPUT_DIR=None, GRADIO_TEMP_DIR=str(kept))
    try:
        with httpx.Client(base_url=server.url, headers=VISITOR, trust_env=False) as client:
            (path,) = client.post("gradio_api/upload", files={"files": ("x.png", PHOTO)}).json()
        assert Path(path).read_bytes() == PHOTO
        assert Path(path).is_relative_to(kept / "talking-head" / "videos")
        assert (kept / "talking-head" / "videos").stat().st_mode & 0o777 == 0o700
    finally:
        stop_app(server)


def test_our_own_setting_of_the_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("TALKING_HEAD_OUTPUT_DIR", str(tmp_path / "ours"))
    assert load_settings().output_dir == tmp_path / "ours"


@pytest.mark.parametrize(("said", "enabled"), [(None, False), ("False", False), ("True", True)])
def test_analytics_only_where_they_are_asked_for(said: str | None, enabled: bool) -> None:
    code = (
        "from core.web.gradio_environment import prepare_environment; prepare_environment('/nowhere'); "
        "import gradio; print(gradio.Blocks().analytics_enabled)"
    )
    environment = {"PATH": "/usr/bin:/bin", **({"GRADIO_ANALYTICS_ENABLED": said} if said else {})}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment, check=True)
    assert ran.stdout.split()[-1] == str(enabled)


def test_empty_variables_are_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH"):
        monkeypatch.setenv(name, " ")
    assert (server_name(None), server_port(None), root_path()) == ("127.0.0.1", 7860, "")
    assert (server_name("::1"), server_port(0)) == ("::1", 0)
