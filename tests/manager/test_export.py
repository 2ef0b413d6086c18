"""The export command, on a whole set of small checkpoints in the published layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript, which is not installed")

import model_manager  # noqa: E402
from core.engines.ditto_networks import NETWORKS  # noqa: E402
from core.models import export as network_export  # noqa: E402
from manager import export as export_command  # noqa: E402
from manager.export import checkpoints_in  # noqa: E402
from manager.published_folder import published_checkpoints  # noqa: E402
from tests.support.synthetic_checkpoints import FILES, ONNX_FILES, TINY, network_of, tiny_networks, write_checkpoints  # noqa: E402

NAMES = sorted(Path(ONNX_FILES[role]).name for role in NETWORKS)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with tiny_networks():
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"), TINY)


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    """A copy of the six networks' files, to be damaged, side by side in one folder."""
    folder = tmp_path / "copied"
    folder.mkdir()
    for role in NETWORKS:
        shutil.copy(published / FILES[role], folder)
    return folder


def export(capsys: pytest.CaptureFixture[str], checkpoints: Path, onnx_dir: Path, *more: str) -> tuple[int, str, str]:
    code = model_manager.main(["export", "--checkpoint_dir", str(checkpoints), "--onnx_dir", str(onnx_dir), *more])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.slow
def test_export_makes_the_published_files(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx_dir = tmp_path / "a folder" / "onnx"
    code, out, err = export(capsys, published, onnx_dir, "--json")
    files = json.loads(out)["files"]
    assert code == 0
    assert sorted(path.name for path in onnx_dir.iterdir()) == NAMES
    assert [file["role"] for file in files] == list(NETWORKS)
    for file in files:
        assert Path(file["path"]).stat().st_size == file["bytes"]
        assert 0 <= file["relative_error"] < 1e-4
    assert [line for line in err.splitlines() if line.startswith("[6/6] lmdm")] == [
        f"[6/6] lmdm: loading {published / FILES['lmdm']}", f"[6/6] lmdm: writing and checking {onnx_dir / Path(ONNX_FILES['lmdm']).name}",
    ]  # fmt: skip
    for role in ("hubert", "landmark203"):  # published as ONNX files in both formats
        shutil.copy(published / FILES[role], onnx_dir / Path(ONNX_FILES[role]).name)
    taken = published_checkpoints(onnx_dir, published / FILES["cfg"])
    assert {role: taken[role].parent for role in NETWORKS} == dict.fromkeys(NETWORKS, onnx_dir)
    network = network_of("decoder", TINY["decoder"], seed=5)  # other weights: the comparison sees that
    example = tuple(network_export.example_arguments(network).values())
    assert network_export.relative_error(network, "decoder", onnx_dir / "decoder.onnx", example) > 1e-3


def test_a_file_that_differs_from_torch_is_refused(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_export, "MAX_RELATIVE_ERROR", -1.0)
    older = tmp_path / "onnx" / NAMES[0]
    older.parent.mkdir()
    older.write_bytes(b"older")
    code, out, err = export(capsys, copied, older.parent)
    assert (code, out) == (1, "")
    assert "The exported appearance_extractor differs from PyTorch's by" in err.splitlines()[-1]
    assert [(path.name, path.read_bytes()) for path in older.parent.iterdir()] == [(NAMES[0], b"older")]


def test_weights_that_are_not_finite_are_refused(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "appearance_extractor.pth"
    weights = torch.load(path)
    next(value for value in weights.values() if value.dtype == torch.float32).fill_(float("nan"))
    torch.save(weights, path)
    code, _, err = export(capsys, copied, tmp_path / "onnx")
    assert code == 1
    assert "by nan of the largest value" in err
    assert list((tmp_path / "onnx").iterdir()) == []


def test_checkpoints_that_are_missing_or_damaged(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(capsys, tmp_path / "nowhere", tmp_path / "onnx")[0] == 2
    (copied / "appearance_extractor.pth").write_bytes(b"damaged")
    code, _, err = export(capsys, copied, tmp_path / "onnx")
    assert code == 1
    assert "appearance_extractor.pth" in err.splitlines()[-1]
    (copied / "decoder.pth").unlink()
    code, _, err = export(capsys, copied, tmp_path / "onnx")
    assert (code, err) == (
        1, "There is no PyTorch checkpoint of: decoder. Fetch them: python model_manager.py download --format pytorch\n"
    )  # fmt: skip


def test_downloaded_checkpoints_are_taken_where_no_folder_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = model_manager.main(["export", "--folder", str(tmp_path / "empty"), "--onnx_dir", str(tmp_path / "onnx")])
    assert code == 1
    assert "Run: python model_manager.py download --format pytorch" in capsys.readouterr().err


@pytest.mark.parametrize("layout", [".", "ditto_pytorch", "ditto_pytorch/models"])
def test_layouts_of_checkpoints(published: Path, layout: str) -> None:
    found = checkpoints_in(published / layout)
    assert {role: found[role] for role in NETWORKS} == {role: published / FILES[role] for role in NETWORKS}


def test_no_room_and_no_packages(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_command, "SPARE_BYTES", 2**62)
    code, _, err = export(capsys, published, tmp_path / "onnx")
    assert code == 1
    assert "free, the ONNX files need" in err
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written to" in export(capsys, published, tmp_path / "file" / "onnx")[2]
    monkeypatch.setattr(export_command, "PACKAGES", ("torch", "no_such_package_here"))
    code, _, err = export(capsys, published, tmp_path / "onnx")
    assert (code, err) == (
        1, "Exporting needs no_such_package_here, which is not installed. "
        "Install requirements.txt, or requirements-gpu.txt where there is an NVIDIA GPU.\n",
    )  # fmt: skip
