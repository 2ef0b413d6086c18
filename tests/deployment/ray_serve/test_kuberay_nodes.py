"""Nodes started by the command lines that KubeRay makes of the manifest, and given its configuration, make a video."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.databases import PostgresServer, RedisServer
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.ray_service import START_S, answers, processes_of
from tests.support.serving import KEY, form, wait_for

pytestmark = pytest.mark.slow

HERE = "127.0.0.1"


@dataclass
class Nodes:
    """url, dashboard: addresses of the ingress and of Ray's dashboard. agents: ports, by the name of the group. token: of the cluster."""

    url: str
    dashboard: str
    agents: dict[str, int]
    token: str


def groups(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"head": cluster["headGroupSpec"], **{group["groupName"]: group for group in cluster["workerGroupSpecs"]}}


def command_line(group: dict[str, Any], **more: str | int) -> str:
    """As KubeRay makes it for bash: values stand as they are written in the manifest. more: ports, since all nodes are on one machine."""
    told = {**group["rayStartParams"], **more}
    flags = " ".join(f"--{name.replace('_', '-')}={value}" for name, value in told.items())
    return f"ray start {flags} --node-ip-address={HERE} --object-store-memory={100 * 2**20}"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("kuberay")
    _, manifest, *_ = yaml.safe_load_all((ROOT / "deploy" / "kuberay.yaml").read_text())
    postgres, redis, cluster = PostgresServer(folder), RedisServer(folder), tempfile.mkdtemp(prefix="ray-")
    port, address, dashboard_port, log = free_port(), f"{HERE}:{free_port()}", free_port(), folder / "log"
    token = secrets.token_hex(32)
    here = {
        "RAY_TMPDIR": cluster, "HOME": cluster, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "TALKING_HEAD_RENDER_GPUS": "0", "TALKING_HEAD_PORT": str(port),
        "TALKING_HEAD_API_KEYS": KEY, "TALKING_HEAD_JOBS_DATABASE": postgres.url, "TALKING_HEAD_REDIS_URL": redis.url,
        "TALKING_HEAD_OUTPUT_DIR": str(folder / "out"), "TALKING_HEAD_CACHE_DIR": str(folder / "cache"),
    }  # fmt: skip
    agents = dict[str, int]()
    which: dict[str, str | int] = {"head": "true", "port": address.split(":")[1], "dashboard_host": HERE, "dashboard_port": dashboard_port}
    try:
        postgres.start()
        redis.start()
        for name, group in groups(manifest["spec"]["rayClusterConfig"]).items():
            container = group["template"]["spec"]["containers"][0]
            environment = {**os.environ, **{each["name"]: each["value"] for each in container["env"]}, **here}
            agents[name] = free_port()
            line = command_line(group, **which, dashboard_agent_listen_port=agents[name]).replace("--head=true", "--head")
            with log.open("ab") as stream:
                told = {"stdout": stream, "stderr": stream, "cwd": cluster, "env": environment}
                subprocess.run(["bash", "-c", line], check=True, timeout=START_S, **told)
            which = {"address": address}
        yield Nodes(f"http://{HERE}:{port}", f"http://{HERE}:{dashboard_port}", agents, token)
    finally:
        for pid in processes_of(cluster):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(cluster, ignore_errors=True)
        redis.stop()
        postgres.stop()


def test_its_nodes_are_well_and_make_a_video(nodes: Nodes) -> None:
    def is_well(agent: int) -> bool:
        try:
            return httpx.get(f"http://{HERE}:{agent}/api/healthz", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    for agent in nodes.agents.values():
        wait_for(lambda agent=agent: is_well(agent), START_S)
    _, manifest, *_ = yaml.safe_load_all((ROOT / "deploy" / "kuberay.yaml").read_text())
    config = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    config["applications"][0]["deployments"][0]["num_replicas"] = 1  # of one machine
    told = {"Authorization": f"Bearer {nodes.token}"}
    with httpx.Client(base_url=nodes.dashboard, headers=told, trust_env=False, timeout=60) as operator:
        operator.put("/api/serve/applications/", json=config).raise_for_status()
    with httpx.Client(base_url=nodes.url, headers={"X-API-Key": KEY}, timeout=START_S, trust_env=False) as client:
        wait_for(lambda: answers(client), START_S)
        made = client.post("/generate", **form())
    assert made.status_code == 200, made.text
    assert made.headers["content-type"] == "video/mp4"
