"""A server that is killed at any moment loses no job that it accepted."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.paths import LONG_SPEECH, PORTRAIT, ROOT
from tests.support.serving import KEY, form

KILLS, JOBS = 25, 20
OWNER = {"X-API-Key": KEY}


class KilledServer:
    """api_server.py in a process of its own, on the same folders each time."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TALKING_HEAD_API_KEYS": KEY,
            "TALKING_HEAD_OUTPUT_DIR": str(folder / "outputs"),
            "TALKING_HEAD_CACHE_DIR": str(folder / "cache"),
            "TALKING_HEAD_MAX_QUEUE": "100",
            "TALKING_HEAD_JOBS_PER_MINUTE": "1000",
            "TALKING_HEAD_REQUESTS_PER_MINUTE": "100000",
            "TALKING_HEAD_KEEP_RESULTS": "false",
        }
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "api_server.py", "--port", "0", "--no-page", "--ditto", "off"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = line.split(" at ")[1].split("/ ")[0]

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def post(self, **fields: str) -> httpx.Response:
        sent = form(LONG_SPEECH, PORTRAIT, **fields)
        return httpx.post(f"{self.url}/generate?async=1", headers=OWNER, timeout=60, trust_env=False, **sent)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=OWNER, timeout=60, trust_env=False)


@pytest.mark.slow
def test_25_kills_during_20_jobs_lose_none(tmp_path: Path) -> None:
    moments = random.Random(7)  # noqa: S311 - the same moments each time
    server, accepted = KilledServer(tmp_path), dict[str, int]()
    server.start()
    for n in range(KILLS):
        lives_until = time.monotonic() + moments.uniform(0.3, 2.5)
        try:
            while len(accepted) < JOBS and time.monotonic() < lives_until:
                answer = server.post(options=f'{{"seed": {len(accepted)}, "size": 256}}')
                assert answer.status_code == 202
                accepted[answer.json()["id"]] = len(accepted)
                if n < 3 and len(accepted) % 4 == 3:
                    break  # some are accepted by later processes
        finally:
            time.sleep(max(0.0, lives_until - time.monotonic()))
            server.kill()
        server.start()
    try:
        left: dict[str, Any] = dict.fromkeys(accepted)
        deadline = time.monotonic() + 240
        while any(state is None or state["state"] in ("queued", "running") for state in left.values()):
            assert time.monotonic() < deadline, left
            time.sleep(0.5)
            left = {job_id: server.get(f"/jobs/{job_id}").json() for job_id in accepted}
        assert [state["state"] for state in left.values()] == ["done"] * JOBS
        videos = {job_id: server.get(state["result"]).content for job_id, state in left.items()}
        assert len(set(videos.values())) == JOBS  # each with its own seed
        again = server.post(options='{"seed": 3, "size": 256}').json()["id"]
        while server.get(f"/jobs/{again}").json()["state"] != "done":
            time.sleep(0.2)
        fourth = next(job_id for job_id, n in accepted.items() if n == 3)
        assert server.get(f"/jobs/{again}/result").content == videos[fourth]  # the same seed makes the same video
    finally:
        server.kill()


@pytest.mark.slow
def test_a_text_that_was_accepted_is_spoken_after_a_kill_as_it_would_have_been(tmp_path: Path) -> None:
    server, videos = KilledServer(tmp_path), []
    fields = {"text": "One sentence is said here. Another one comes after it.", "voice": "af_heart", "options": '{"size": 128}'}
    server.start()
    try:
        for killed in (True, False):
            sent = form(None, PORTRAIT, **fields)
            job = httpx.post(f"{server.url}/generate?async=1", headers=OWNER, timeout=60, trust_env=False, **sent).json()
            while killed and server.get(f"/jobs/{job['id']}").json()["stage"] not in ("speech", "animating"):
                time.sleep(0.02)
            if killed:
                server.kill()
                server.start()
            while server.get(f"/jobs/{job['id']}").json()["state"] in ("queued", "running"):
                time.sleep(0.2)
            about = server.get(f"/jobs/{job['id']}").json()
            assert about["state"] == "done", about
            videos.append(server.get(about["result"]).content)
            assert "One sentence is said here." in server.get(about["captions"]).text
            httpx.post(f"{server.url}/cache/clear", headers=OWNER, json={"which": "speech"}, timeout=60, trust_env=False)
        assert videos[0] == videos[1]
    finally:
        server.kill()
