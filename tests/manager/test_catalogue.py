"""The catalogue of published checkpoints: what it names, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import OptionError, TalkingHeadError
from manager.catalogue import load_catalogue
from manager.errors import CorruptFileError, DiskFullError, DownloadError, FolderError, HubError
from manager.folder import digest
from manager.store import Store
from tests.support.paths import ROOT
from tests.support.small_hub import PUBLISHED, TASK


def test_the_catalogue_names_what_was_published() -> None:
    assert (PUBLISHED.repo, PUBLISHED.revision) == ("digital-avatar/ditto-talkinghead", "e4a2f60328ee7c32af585ac4b3cce299e4c8e254")
    everything = PUBLISHED.files("pytorch", ["insightface"])
    assert len(everything) == 12
    assert sum(file.size_bytes or 0 for file in everything) == 2_314_719_638
    assert {file.path.rpartition("/")[2] for file in set(everything) - set(PUBLISHED.files("pytorch"))} == {"det_10g.onnx", "2d106det.onnx"}


def test_every_format_has_what_every_run_needs() -> None:
    needed = {file.role for file in PUBLISHED.files("pytorch")}
    assert needed == {
        "cfg", "appearance_extractor", "motion_extractor", "warp_network", "decoder", "stitch_network", "lmdm", "hubert", "landmark203",
        "face_landmarker",
    }  # fmt: skip
    for format in ("onnx", "trt"):
        assert {file.role for file in PUBLISHED.files(format)} == needed | {"cfg_online"}
    onnx = {file.role: file.path for file in PUBLISHED.files("onnx")}
    assert onnx["warp_network"] == "ditto_onnx/warp_network_ori.onnx"  # the other one needs a TensorRT plugin


def test_the_landmark_task_is_the_one_we_ship() -> None:
    task = next(file for file in PUBLISHED.files("pytorch") if file.path == TASK)
    shipped = ROOT / "assets" / "face_landmarker.task"
    assert (task.size_bytes, task.sha256) == (shipped.stat().st_size, digest(shipped))


def test_a_catalogue_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    for path in ("../outside", "/etc/passwd", "a/../../b", ".verified.json"):
        bad = {"repo": "a/b", "revision": "0", "formats": {"x": [{"role": "r", "path": path, "size_bytes": 1, "sha256": None}]}}
        (tmp_path / "c.json").write_text(json.dumps(bad))
        with pytest.raises(ValueError, match="does not stay"):
            load_catalogue(tmp_path / "c.json")


def test_unknown_formats_and_extras_are_refused_by_name(store: Store) -> None:
    with pytest.raises(OptionError, match=r"'tflite'.*pytorch, onnx, trt"):
        store.ensure("tflite")
    with pytest.raises(OptionError, match=r"'everything'.*insightface"):
        store.ensure("pytorch", extras=["everything"])


def test_importing_does_nothing(tmp_path: Path) -> None:
    code = "import sys, model_manager; sys.exit(sum(name in sys.modules for name in ('huggingface_hub', 'httpx2', 'filelock', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_errors_are_a_branch_of_the_tree() -> None:
    for kind in (HubError, CorruptFileError, DiskFullError, FolderError):
        assert issubclass(kind, DownloadError)
        assert issubclass(kind, TalkingHeadError)
