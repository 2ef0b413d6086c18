"""What --host and --port may be, in the three programs that serve: one line and exit code 2, or an address that can be opened."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app_process import start_app, stop_app
from tests.support.paths import ROOT

PROGRAMS = ("app.py", "app_optimized.py", "api_server.py")


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback: --host ::1 was not tried")


@pytest.fixture(params=["127.0.0.1", pytest.param("::1", marks=IPV6)])
def taken(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listening:
        yield request.param, str(listening.getsockname()[1])


def refusal(program: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / program), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, check=False)
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    ("program", "port"),
    [("app.py", "bad"), ("api_server.py", "70000"), *(("app_optimized.py", port) for port in ("bad", "70000", "-1", "", "٣"))],
)
def test_what_is_no_port(program: str, port: str, tmp_path: Path) -> None:
    assert "65535" in refusal(program, tmp_path, f"--port={port}")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_port_that_is_taken(program: str, tmp_path: Path, taken: tuple[str, str]) -> None:
    host, port = taken
    assert f"Port {port} on {host} cannot be used" in refusal(program, tmp_path, "--host", host, "--port", port)


@pytest.mark.parametrize("program", ["app_optimized.py"])
@pytest.mark.parametrize("host", ["no such name", "203.0.113.7", "[::1", "x" * 300])
def test_an_address_that_this_machine_does_not_have(program: str, host: str, tmp_path: Path) -> None:
    assert "--host" in refusal(program, tmp_path, "--host", host, "--port", "0")


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=IPV6), pytest.param("[::1]", marks=IPV6)])
def test_a_free_port_is_found_and_told(host: str, tmp_path: Path) -> None:
    server = start_app(tmp_path, (str(ROOT / "app_optimized.py"),), host, port=0)
    try:
        told = re.search(r"open (http://\S+/) ", server.log.read_text())
        assert told is not None
        assert not told[1].endswith(":0/")
        with urllib.request.urlopen(told[1], timeout=10) as answer:
            assert answer.status == 200
        assert "Traceback" not in server.log.read_text()
    finally:
        stop_app(server)
