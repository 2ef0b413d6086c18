"""TensorRT engines are fetched only for a GPU and driver that can run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import EngineUnavailable
from manager import trt
from manager.store import Store
from tests.support.hub_server import HubServer
from tests.support.small_hub import assert_complete


@pytest.mark.parametrize(
    ("capabilities", "version", "reason"),
    [
        ([], "8.6.1", "no NVIDIA GPU was found"),
        ([(7, 5)], "8.6.1", r"older than Ampere \(compute capability 7.5"),
        ([(7, 5), (8, 9)], None, "TensorRT 8.6 is not installed"),
        ([(9, 0)], "11.4.0.106", "TensorRT 11.4.0.106 is installed, the engines run under 8.6 only"),
        ([(8, 0)], "8.60.1", "TensorRT 8.60.1 is installed"),
    ],
)
def test_engines_that_cannot_run_here_are_refused_before_the_download(
    store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capabilities: list[tuple[int, int]], version: str | None, reason: str
) -> None:
    monkeypatch.setattr(trt, "gpu_capabilities", lambda: capabilities)
    monkeypatch.setattr(trt, "tensorrt_version", lambda: version)
    with pytest.raises(EngineUnavailable, match=rf"{reason}.*pytorch or onnx"):
        store.ensure("trt")
    assert not hub.seen
    assert not store.folder.exists


def test_engines_that_can_run_here_are_fetched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "gpu_capabilities", lambda: [(8, 6)])
    monkeypatch.setattr(trt, "tensorrt_version", lambda: "8.6.1.post1")
    assert_complete(store.ensure("trt"), "trt")


def test_the_driver_is_asked_for_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trt.gpu_capabilities() == []
    for script, expected in (
        ("echo 9.0; echo 7.5", [(9, 0), (7, 5)]),
        ("echo 'NVIDIA-SMI has failed'; exit 9", []),
        ("echo '[N/A]'", []),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert trt.gpu_capabilities() == expected
