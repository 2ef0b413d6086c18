"""A server that is reached through TURN alone: a real coturn, with names that end."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from aioice.ice import get_host_addresses

from core.studio import Studio
from tests.support.live_caller import run
from tests.support.peers import HZ, Client, Voice
from tests.support.serving import KEY, form, serving, wait_for

TURNSERVER = shutil.which("turnserver")
SECRET = "a-secret-of-the-tests"  # noqa: S105 - of a server that lasts as long as the test
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TURNSERVER is None, reason="no coturn on this machine: TURN was not tried"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[str]:
    """Its address. It has no loopback address, for ICE uses none."""
    addresses = get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not addresses:
        pytest.skip("this machine has no address beside loopback")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((addresses[0], 0))
        port = probe.getsockname()[1]
    command = [str(TURNSERVER), "-n", "--no-tls", "--no-dtls", "--no-cli", "--realm=tests", "--use-auth-secret", "--log-file=stdout",
               f"--static-auth-secret={SECRET}", f"--listening-ip={addresses[0]}", f"--relay-ip={addresses[0]}",
               f"--listening-port={port}", f"--pidfile={tmp_path / 'pid'}"]  # fmt: skip

    def answers() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex((addresses[0], port)) == 0

    with (tmp_path / "turn.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for(answers)
            yield f"turn:{addresses[0]}:{port}"
        finally:
            process.terminate()


def test_through_turn_alone(studio: Studio, turn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKING_HEAD_TURN_URLS", turn)
    with serving(studio, tmp_path, turn_secret=SECRET, webrtc_relay_only=True) as server:
        with server.client() as http:
            token = http.post("/avatars", **form(audio=None)).json()["token"]
        told = httpx.options(f"{server.url}/whip", headers={"X-API-Key": KEY}, trust_env=False)
        assert told.headers["link"].startswith(f'<{turn}>; rel="ice-server"; username="')

        async def test() -> None:
            microphone, viewer = Client(server.url), Client(server.url)
            try:
                answer = await microphone.speak(Voice(np.zeros(HZ, np.int16)), f"/whip?avatar={token}&options=%7B%22size%22%3A64%7D")
                candidates = [line for line in answer.text.splitlines() if line.startswith("a=candidate")]
                assert candidates
                assert all(" typ relay" in line for line in candidates), "nobody is told the server's own addresses"
                await viewer.watch(answer.headers["x-live-session"])
                await viewer.until(lambda: len(viewer.frames["video"]) > 10)
            finally:
                await asyncio.gather(microphone.close(), viewer.close())

        run(test)
