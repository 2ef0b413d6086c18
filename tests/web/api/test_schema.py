"""The OpenAPI document: what it promises holds for requests that nobody thought of (Schemathesis)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.studio import Studio
from tests.support.chat_server import KEY as CHAT_KEY
from tests.support.chat_server import chat_server
from tests.support.paths import ROOT
from tests.support.serving import KEY, Serving, serving

HERE = Path(__file__).resolve().parent
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "8")
"""Requests of each kind; e.g. 300 for an hour's look."""


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with chat_server() as model:
        with serving(studio, tmp_path_factory.mktemp("server"), chat_url=model.url, chat_key=CHAT_KEY, chats_per_minute=10_000) as server:
            yield server


def test_the_document_describes_every_route_with_its_errors_and_examples(server: Serving) -> None:
    document = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes == {
        ("post", "/generate"), ("post", "/stream"), ("get", "/jobs/{job_id}"), ("get", "/jobs/{job_id}/result"),
        ("delete", "/jobs/{job_id}"), ("post", "/avatars"), ("get", "/avatars"), ("get", "/avatars/{token}/thumbnail"),
        ("delete", "/avatars/{token}"), ("post", "/cache/clear"), ("get", "/health"), ("get", "/metrics"),
        ("get", "/jobs/{job_id}/captions.vtt"), ("get", "/jobs/{job_id}/captions.srt"), ("get", "/voices"), ("post", "/v1/audio/speech"),
        ("post", "/chat"), ("post", "/detect"), ("get", "/live/{session_id}/provenance"),
        ("post", "/whip"), ("post", "/live/{session_id}/whep"), ("post", "/live/{session_id}/whip"), ("patch", "/webrtc/{resource}"),
        ("delete", "/webrtc/{resource}"),
    }  # fmt: skip
    for method, path in routes:
        about = document["paths"][path][method]
        assert about["summary"]
        assert all(answer["description"] for answer in about["responses"].values())
        if path != "/health":
            assert {"401", "429", "500"} <= set(about["responses"])
            assert {"bearer": []} in about["security"]
    for name in ("JobStatus", "AvatarCard", "ErrorBody", "Health", "Freed"):
        assert document["components"]["schemas"][name]["example"], name
    assert document["paths"]["/generate"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["engine"][
        "enum"
    ] == ["auto", "lite"]


@pytest.mark.slow
def test_schemathesis_finds_nothing(server: Serving, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    options = ["--max-examples", EXAMPLES, "--seed", "1", "--no-color", "--generation-database", "none"]
    environment = {**os.environ, "TALKING_HEAD_KEY": KEY, "SCHEMATHESIS_HOOKS": "tests.web.api.schemathesis_hooks", "NO_PROXY": "127.0.0.1"}
    ended = subprocess.run(
        [*command, f"{server.url}/openapi.json", *options], env={**environment, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = httpx.get(f"{server.url}/metrics", headers={"X-API-Key": KEY}, trust_env=False).text
    for path in ("/generate", "/stream", "/avatars"):  # not everything was refused
        assert any(f'path="{path}",status="20' in line for line in figures.splitlines()), path
