"""From the Hub, or a folder of checkpoints, to a video with the Ditto engine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import inference
from manager import hub as hub_access
from manager import store as store_module
from manager.catalogue import Catalogue, load_catalogue
from manager.published_folder import published_checkpoints
from tests.support.ditto_sessions import frames_of, sound
from tests.support.hub_server import HubServer
from tests.support.paths import ROOT
from tests.support.synthetic_checkpoints import FILES

pytestmark = pytest.mark.usefixtures("tiny_ditto")


@pytest.fixture
def hub(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The small set on a Hub of its own, and the manager's catalogue of it."""
    import huggingface_hub
    import huggingface_hub.constants

    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name)
    contents = {path: (root / path).read_bytes() for path in FILES.values()}
    published = load_catalogue()
    files = tuple(
        dataclasses.replace(file, size_bytes=len(contents[file.path]), sha256=hashlib.sha256(contents[file.path]).hexdigest())
        for file in published.formats["pytorch"]
    )
    small = Catalogue(published.repo, published.revision, {"pytorch": files})
    monkeypatch.setattr(store_module, "load_catalogue", lambda: small)
    monkeypatch.setattr(hub_access, "RETRY_WAITS_S", (0.0,))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("DITTO_MODELS_DIR", str(tmp_path / "models"))
    huggingface_hub.close_session()
    with HubServer(small.repo, small.revision, contents) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    huggingface_hub.close_session()


def written_speech(path: Path, n_samples: int) -> Path:
    import soundfile

    soundfile.write(path, sound(n_samples), 16_000)
    return path


@pytest.mark.parametrize("kind", ["photo", "video"])
def test_from_the_hub_to_a_video(
    kind: str, hub: HubServer, clip_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = ROOT / "assets" / "portrait.png"
    if kind == "video":
        source = tmp_path / "clip.mp4"
        source.write_bytes(clip_bytes)
    output = tmp_path / "out" / "v.mp4"
    arguments = [
        "--audio_path", str(written_speech(tmp_path / "a.wav", 640 * 7 + 1)), "--source_path", str(source), "--output_path", str(output),
        "--engine", "ditto", "--preset", "realtime", "--set", "sampling_timesteps=2", "--size", "96", "--json",
    ]  # fmt: skip
    assert inference.main(arguments) == 0, capfd.readouterr().err
    info = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (info["engine"], info["frames"]) == ("ditto", 8)
    assert frames_of(output) == (8, 96, 96, True)
    requests = hub.count("GET")
    assert requests == 10  # without the two files that are for non-commercial use
    if kind == "photo":
        output.unlink()
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert inference.main(arguments) == 0, capfd.readouterr().err
        assert hub.count("GET") == requests


def test_a_folder_of_checkpoints_instead_of_the_hub(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert set(published_checkpoints(root / "ditto_pytorch", root / FILES["cfg"])) >= {"cfg", "lmdm", "decoder", "hubert", "landmark203"}
    controls = tmp_path / "controls.json"
    controls.write_text('{"emo": "happy", "sampling_timesteps": 2}')
    common = [
        "--audio_path", str(written_speech(tmp_path / "a.wav", 700)), "--source_path", str(ROOT / "assets" / "portrait.png"),
        "--output_path", str(tmp_path / "v.mp4"), "--engine", "ditto", "--size", "96", "--controls", str(controls),
        "--data_root", str(root / "ditto_pytorch"),
    ]  # fmt: skip
    assert inference.main(common) == 2
    assert "--cfg_pkl" in capfd.readouterr().err
    assert inference.main([*common, "--cfg_pkl", str(root / FILES["cfg"])]) == 0
    assert frames_of(tmp_path / "v.mp4") == (2, 96, 96, True)


def test_a_hub_that_says_no_is_one_line(hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hub.token = "needed"  # noqa: S105
    arguments = [
        "--audio_path", str(written_speech(tmp_path / "a.wav", 700)), "--source_path", str(ROOT / "assets" / "portrait.png"),
        "--output_path", str(tmp_path / "v.mp4"), "--engine", "ditto",
    ]  # fmt: skip
    assert inference.main(arguments) == 1
    error = capfd.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "ditto engine has no checkpoints" in error
    assert not (tmp_path / "v.mp4").exists()
