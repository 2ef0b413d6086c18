"""A small Hub on the loopback interface, a store that fetches from it, and the command line as a process."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manager import hub as hub_access
from manager.store import Store
from tests.support.hub_server import HubServer
from tests.support.paths import ROOT
from tests.support.small_hub import CATALOGUE, CFG, CONTENTS, MAIN, environment


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token, proxy, offline flag or cache of the machine reaches the tests; retries do not wait."""
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors

    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DITTO_MODELS_DIR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(hub_access, "RETRY_WAITS_S", (0.0, 0.0, 0.0))
    huggingface_hub.close_session()  # its connections belong to the server of an earlier test


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(CATALOGUE.repo, CATALOGUE.revision, CONTENTS, small=frozenset({CFG})) as server:
        yield server


@pytest.fixture
def store(hub: HubServer, tmp_path: Path) -> Store:
    return Store(tmp_path / "models", CATALOGUE, hub.url)


@pytest.fixture
def command(hub: HubServer, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command line as a process of its own, with the small catalogue."""
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps(dataclasses.asdict(CATALOGUE)))
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, before: str = "", **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", before + MAIN, str(catalogue), *arguments], cwd=ROOT, env=environment(hub, tmp_path, **more),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("manager.folder.TEMPORARY_FOLDER", tmp_path / "ditto_models")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "talking-head" / "ditto_models"
    path.parent.mkdir()
    return path
