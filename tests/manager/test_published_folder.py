"""The published commands, which name folders and configurations of different formats, find files that can be run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from core.errors import EngineUnavailable
from manager.catalogue import load_catalogue
from manager.published_folder import NETWORKS, published_checkpoints

NAMED = {role: f"{role}_fp16.engine" for role in (*NETWORKS, "hubert", "landmark203", "insightface_det", "landmark106")}


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    """Names engines by their bare names, as `v0.4_hubert_cfg_trt.pkl` does."""
    names = [role for role in NAMED if role != "lmdm"]
    base: dict[str, Any] = {f"{role}_cfg": {"model_path": NAMED[role], "device": "cuda"} for role in names}
    base["landmark478_cfg"] = {"task_path": "face_landmarker.task"}
    path = tmp_path / "ditto_cfg" / "v0.4_hubert_cfg_trt.pkl"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"base_cfg": base, "audio2motion_cfg": {"model_path": NAMED["lmdm"]}}))
    return path


def publish(folder: Path, format: str, but: str = "") -> None:
    for file in load_catalogue().files(format):
        path = folder / file.path
        if file.role not in ("cfg", but) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_the_onnx_folder_with_the_configuration_of_the_engines(tmp_path: Path, cfg: Path) -> None:
    publish(tmp_path, "onnx")
    found = published_checkpoints(tmp_path / "ditto_onnx", cfg)
    assert found["warp_network"] == tmp_path / "ditto_onnx" / "warp_network_ori.onnx"
    assert found["hubert"] == tmp_path / "ditto_onnx" / "hubert.onnx"
    assert found["cfg"] == cfg


def test_engines_are_replaced_by_the_nearest_format_beside_them(
    tmp_path: Path, cfg: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engines = tmp_path / "ditto_trt_Ampere_Plus"
    engines.mkdir()
    for name in NAMED.values():
        (engines / name).touch()
    with pytest.raises(EngineUnavailable, match=r"TensorRT engines .* not run.* model_manager\.py download --format pytorch"):
        published_checkpoints(engines, cfg)
    publish(tmp_path, "onnx")
    assert published_checkpoints(engines, cfg)["decoder"].suffix == ".onnx"
    publish(tmp_path, "pytorch")
    assert published_checkpoints(engines, cfg)["decoder"] == tmp_path / "ditto_pytorch" / "models" / "decoder.pth"
    assert "TensorRT engines" in caplog.text
    assert "the pytorch files in" in caplog.text


def test_a_set_that_is_not_whole_is_not_taken(tmp_path: Path, cfg: Path) -> None:
    publish(tmp_path, "pytorch", but="decoder")
    publish(tmp_path, "onnx", but="lmdm")
    with pytest.raises(EngineUnavailable, match="no whole set"):
        published_checkpoints(tmp_path / "ditto_pytorch", cfg)
