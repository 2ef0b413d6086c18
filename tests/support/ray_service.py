"""The service over Ray Serve, started by its command, with a cluster of its own that leaves nothing behind."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.serving import KEY, wait_for

START_S, STOP_S = 240.0, 120.0


def processes_of(cluster: str, name: str = "") -> list[int]:
    """Those of a cluster in this folder, and its command, whose command line has `name` in it."""
    ours = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if cluster.encode() in (place / "environ").read_bytes() and name.encode() in (place / "cmdline").read_bytes():
                ours.append(int(place.name))
        except OSError:  # it has ended meanwhile
            continue
    return ours


class RayService:
    """cluster: the folder of Ray, by which its processes are known."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, cluster: str, log: Path) -> None:
        self.process, self.log, self._cluster = process, log, cluster
        self.url, self.ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"

    def client(self, key: str = KEY) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key} if key else {}, timeout=START_S, trust_env=False)

    def processes(self, name: str = "") -> list[int]:
        return processes_of(self._cluster, name)

    def stop(self) -> int:
        """As a service manager does it. The exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextmanager
def ray_service(
    folder: Path, settings: Mapping[str, str], machines: Sequence[Mapping[str, str]] = (), application: str = "deploy.ray_app:app"
) -> Iterator[RayService]:
    """settings: without their prefix. machines: nodes of one core each, with these in their environments; none: one node, with all cores.
    Answers when the block begins.
    """
    cluster, port, log = tempfile.mkdtemp(prefix="ray-"), free_port(), folder / "ray.log"
    ours = {f"TALKING_HEAD_{name}": value for name, value in {"API_KEYS": KEY, "PORT": str(port), "PAGE_SIZE": "320", **settings}.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # no other program of this machine joins it
    environment |= {"RAY_TMPDIR": cluster, "HOME": cluster, **token, **ours}
    command = [str(Path(sys.executable).with_name("serve")), "run", application]
    with log.open("wb") as stream:
        if machines:
            environment["RAY_ADDRESS"] = _start_nodes(machines, environment, stream)
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
    service = RayService(process, port, cluster, log)
    try:
        with service.client() as client:
            wait_for(lambda: process.poll() is not None or answers(client), START_S)
        assert process.poll() is None, log.read_text("utf-8", "replace")
        yield service
    finally:
        if process.poll() is None:
            service.stop()
        for pid in service.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(cluster, ignore_errors=True)


def _start_nodes(machines: Sequence[Mapping[str, str]], environment: Mapping[str, str], log: BinaryIO) -> str:
    """The cluster's address."""
    address = f"127.0.0.1:{free_port()}"
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
    ray += [f"--object-store-memory={100 * 2**20}", "--disable-usage-stats", "--include-log-monitor=false"]
    which = ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false"]
    for machine in machines:
        subprocess.run([*ray, *which], check=True, stdout=log, stderr=log, cwd=ROOT, env={**environment, **machine}, timeout=START_S)
        which = [f"--address={address}"]
    return address


def answers(client: httpx.Client) -> bool:
    """Whether it does, and somebody makes videos."""
    try:
        return bool(client.get("/health").json()["queue"]["slots"])
    except httpx.HTTPError:
        return False
