"""The model manager's command line: list, download, path, verify, remove."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import model_manager
from manager import trt
from manager.store import Store
from tests.support.hub_server import HubServer
from tests.support.paths import ROOT
from tests.support.small_hub import CATALOGUE, CFG, CONTENTS, DECODER, HUBERT, PYTORCH, TASK, assert_complete, environment, preload


def run_main(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = model_manager.main([*arguments], CATALOGUE)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list(hub: HubServer, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "gpu_capabilities", list)
    folder = ("--folder", str(store.folder.path))
    code, out, _ = run_main(capsys, "list", "--json", *folder)
    content = json.loads(out)
    assert code == 0
    assert (content["repo"], content["revision"]) == (CATALOGUE.repo, CATALOGUE.revision)
    assert [(f["format"], f["complete"], f["obstacle"]) for f in content["formats"]] == [
        ("pytorch", False, None), ("onnx", False, None), ("trt", False, "no NVIDIA GPU was found"),
    ]  # fmt: skip
    assert content["formats"][0]["bytes"] == sum(len(CONTENTS[file.path]) for file in PYTORCH)
    assert content["formats"][1]["bytes"] is None
    assert not store.folder.exists  # looking makes nothing
    store.ensure()
    store.folder.file(DECODER).write_bytes(b"short")
    partial = store.folder.partial("ditto_pytorch/aux_models/det_10g.onnx", CATALOGUE.revision)
    partial.write_bytes(b"half")
    store.folder.partial(HUBERT, 40 * "c").write_bytes(b"of another revision")
    files = {f["path"]: f for f in json.loads(run_main(capsys, "list", "--json", "--format", "pytorch", *folder)[1])["formats"][0]["files"]}
    states = [files[path]["state"] for path in (HUBERT, DECODER, "ditto_pytorch/aux_models/det_10g.onnx")]
    assert states == ["present", "damaged", "partial"]
    out = run_main(capsys, "list", *folder)[1]
    assert "pytorch: 10 files" in out
    assert "cannot run here: no NVIDIA GPU was found" in out
    assert "det_10g.onnx  (--with insightface)" in out
    assert len(store.remove()[0]) == 12  # 10 files and what was unfinished
    assert not (store.folder.path / ".partial").exists()


def test_download_path_verify_remove(
    hub: HubServer, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("DITTO_MODELS_DIR", str(store.folder.path))
    code, out, err = run_main(capsys, "path")
    assert (code, out) == (1, "")
    assert err == (
        f"v0.4_hubert_cfg_pytorch.pkl, appearance_extractor.pth and 8 more of the pytorch checkpoints are not in {store.folder.path}. "
        "Run: python model_manager.py download --format pytorch\n"
    )
    code, out, err = run_main(capsys, "download", "--with", "insightface", "--json")
    assert code == 0
    paths = json.loads(out)["paths"]
    assert len(paths) == 12
    assert Path(paths["decoder"]).read_bytes() == CONTENTS[DECODER]
    assert f"downloading {DECODER}\n" in err
    assert "10 files of the pytorch checkpoints are in place" in run_main(capsys, "download")[1]
    code, out, _ = run_main(capsys, "path", "--json")
    assert json.loads(out)["paths"] == {role: path for role, path in paths.items() if role not in ("insightface_det", "landmark106")}
    assert f"decoder                {paths['decoder']}" in run_main(capsys, "path")[1]

    code, out, _ = run_main(capsys, "verify", "--json")
    content = json.loads(out)
    assert (code, content["ok"], len(content["files"])) == (0, True, 12)
    times = Path(paths["decoder"]).stat()
    Path(paths["decoder"]).write_bytes(bytes(times.st_size))
    os.utime(paths["decoder"], ns=(times.st_atime_ns, times.st_mtime_ns))  # rot on the disk: neither size nor time tell
    Path(paths["lmdm"]).unlink()
    Path(paths["cfg"]).write_bytes(b"short")
    code, out, _ = run_main(capsys, "verify")
    assert code == 1
    assert f"damaged    {DECODER} (its digest is not the published one)" in out
    assert "absent     ditto_pytorch/models/lmdm_v0.4_hubert.pth" in out
    assert f"damaged    {CFG} (5 bytes, " in out
    assert "3 of 12 files are missing or damaged. Run: python model_manager.py download" in out
    hub.seen.clear()
    assert run_main(capsys, "download")[0] == 0
    assert hub.count("GET") == 3
    assert run_main(capsys, "verify")[0] == 0

    (store.folder.path / "notes.txt").write_text("a person's own")
    code, out, _ = run_main(capsys, "remove", "--json")
    assert (code, len(json.loads(out)["removed"])) == (0, 12)
    assert {path.name for path in store.folder.path.iterdir()} <= {"notes.txt", ".verified.json", ".lock"}
    assert run_main(capsys, "remove")[1].startswith("0 files removed")


def test_removing_one_format_leaves_what_another_needs(store: Store) -> None:
    store.ensure("pytorch")
    store.ensure("onnx")
    converted = store.folder.path / "ditto_onnx" / "warp_network_ori_opset20_0123456789ab.onnx"
    converted.write_bytes(b"made by the engine")
    assert converted in store.remove("onnx")[0]
    store.ensure("onnx")
    removed, freed = store.remove("onnx")
    assert TASK not in {str(path.relative_to(store.folder.path)) for path in removed}
    assert freed == sum(path_size for path_size in (len(CONTENTS[str(p.relative_to(store.folder.path))]) for p in removed))
    assert_complete(store.locate())
    store.remove("pytorch")
    assert not any(path.is_file() and not path.name.startswith(".") for path in store.folder.path.rglob("*"))


def test_removing_never_follows_the_hubs_cache(store: Store, hub: HubServer) -> None:
    preload(hub)
    got = store.ensure()
    assert store.remove() == ((), 0)
    assert_complete(got)


def test_verify_without_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run_main(capsys, "verify", "--folder", str(tmp_path / "none"), "--json")
    assert code == 1
    assert {f["verdict"] for f in json.loads(out)["files"]} == {"absent"}
    assert not (tmp_path / "none").exists()


def test_bad_arguments_are_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments in (["download", "--format", "tflite"], [], ["fetch"]):
        with pytest.raises(SystemExit) as caught:
            model_manager.main(arguments, CATALOGUE)
        assert caught.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
    code, out, err = run_main(capsys, "path", "--with", "everything", "--folder", str(tmp_path))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_command_line_as_people_start_it(hub: HubServer, tmp_path: Path) -> None:
    """The real catalogue against a Hub whose files are small: refused, because they are not the published ones."""
    line = [sys.executable, "model_manager.py", "download"]
    got = subprocess.run(line, cwd=ROOT, env=environment(hub, tmp_path), capture_output=True, text=True, check=False)
    assert got.returncode == 1
    assert got.stdout == ""
    last = got.stderr.splitlines()[-1]
    assert "offers another ditto_cfg/v0.4_hubert_cfg_pytorch.pkl" in last or "free, the checkpoints need" in last


def test_environment_of_the_client_reaches_a_process(hub: HubServer, command: Callable[..., subprocess.Popen[str]]) -> None:
    hub.token = "hf_other"  # noqa: S105 - of the test's own server
    refused = command("download")
    _, complaint = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert "wants a valid token" in complaint
    token = {"HF_TOKEN": hub.token}
    offline = command("download", HF_HUB_OFFLINE="1", **token)
    assert "HF_HUB_OFFLINE is set" in offline.communicate(timeout=30)[1]
    at_once = "import manager.hub as h; h.RETRY_WAITS_S = (); "
    proxy = command("download", before=at_once, HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="", **token)
    assert "does not answer" in proxy.communicate(timeout=30)[1]
    accepted = command("download", **token)
    assert "10 files of the pytorch checkpoints are in place" in accepted.communicate(timeout=30)[0]
    assert accepted.returncode == 0
