"""The published files on a host like one that runs a Space: what it needs, what it writes, what it shows, and how it goes on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.settings import load_settings
from manager.folder import chosen_folder
from tests.support.app_process import CLIENT_MARKS, probe
from tests.support.paths import ASSETS, ROOT
from tests.support.serving import wait_for
from tests.support.space_host import UID, SpaceHost, isolates, space_host

pytestmark = [*CLIENT_MARKS, pytest.mark.slow]
FAKE = str(ROOT / "tests" / "support" / "fake_spaces")
HUB_IS_AWAY = {"SPACES_ZERO_GPU": "true", "PYTHONPATH": FAKE}
FORBIDDEN = ("/srv/", "Traceback", "site-packages", "/home/")


@pytest.fixture
def host() -> Iterator[SpaceHost]:
    with space_host() as made:
        yield made


def make(
    host: SpaceHost, visitor: str, token: str = "", speech: str = "speech_3s.wav", **options: Any
) -> tuple[Path, dict[str, Any]]:
    """A video, as a program asks for one."""
    from gradio_client import Client, handle_file

    headers = {"Cookie": f"talking_head_visitor={visitor}", **({"X-IP-Token": token} if token else {})}
    client = Client(host.url, headers=headers, verbose=False, analytics_enabled=False)
    try:
        video, info = client.predict(
            audio=handle_file(str(ASSETS / speech)), image=handle_file(str(ASSETS / "portrait.png")), options=options,
            api_name="/process_talking_head_optimized",
        )  # fmt: skip
    finally:
        client.close()
    return Path(video if isinstance(video, str) else video["video"]), info


def written(host: SpaceHost) -> dict[str, int]:
    """Size of every file of the program's own, by path."""
    return {str(path.relative_to(host.app)): path.stat().st_size for path in host.app.rglob("*") if path.is_file()}


def test_a_free_host(host: SpaceHost) -> None:
    """Two cores, no GPU, no ffmpeg, no network, nothing but its home to write to."""
    before = written(host)
    host.start(PATH=str(host.folder / "bin"))  # the first page is there within a minute, or this fails
    process = host.processes[-1]
    visitor = secrets.token_hex(24)
    video, info = make(host, visitor)
    assert info["engine"] == "lite"
    assert info["label"] is True
    assert probe(str(video))[:2] == (320, 320)
    status = Path(f"/proc/{process.pid}/status").read_text()
    if isolates():
        assert status.split("Uid:")[1].split()[:2] == [str(UID)] * 2
        assert all(path.lstat().st_uid == UID for path in host.home.rglob("*"))
    assert int(status.split("VmHWM:")[1].split()[0]) < 4 * 2**20, "KiB, of the 16 GiB there are"
    assert written(host) == before
    assert host.stop() == 0
    log = host.log.read_text()
    assert "Traceback" not in log
    assert "HOT_RELOAD" not in log, "nobody exchanges the code of a running Space through a second server"


def test_what_strangers_are_shown(host: SpaceHost) -> None:
    host.start(TALKING_HEAD_OUTPUT_TTL_S="20")
    mine, other = secrets.token_hex(24), secrets.token_hex(24)
    with host.client() as client:
        page = client.get("")
        assert page.headers["content-security-policy"].endswith("frame-ancestors 'self' https://huggingface.co")
        assert "SameSite=None; Secure; Partitioned" in page.headers["set-cookie"]
        assert client.get("", headers={"Host": "evil.example"}).status_code == 421
        framed = {"Origin": "https://evil.example"}
        assert client.post("gradio_api/upload", headers=framed, files={"files": ("x.png", b"x")}).status_code == 403
    video, _ = make(host, mine)
    folder = next(host.home.rglob("talking-head.mp4"))
    with host.client(mine) as own, host.client(other) as stranger:
        assert own.get(f"gradio_api/file={folder}").status_code == 200
        assert stranger.get(f"gradio_api/file={folder}").status_code in (403, 404)
        for path in ("gradio_api/file=/etc/passwd", f"gradio_api/file={host.app}/app.py", "gradio_api/vibe-code", "no/such/page"):
            answer = own.get(path)
            assert answer.status_code in (403, 404), path
            assert not [word for word in FORBIDDEN if word in answer.text]
        (upload,) = own.post("gradio_api/upload", files={"files": ("x.png", (ASSETS / "portrait.png").read_bytes())}).json()
        assert (host.folder / "log").is_file()
        wait_for(lambda: not Path(upload).exists() and not folder.exists())  # an hour where nothing is set; here 20 s
    assert video.is_file()  # the client's own copy


def test_it_sleeps_and_wakes(host: SpaceHost) -> None:
    host.start()
    visitor, own = secrets.token_hex(24), "speech_16s.wav"  # none of the page's examples, whose videos are everybody's
    _, first = make(host, visitor, speech=own)
    assert not first["cache_hit"]
    assert host.stop() == 0
    host.start()
    _, second = make(host, visitor, speech=own)
    assert second["cache_hit"], "its home was kept, so what was made is there"
    _, stranger = make(host, secrets.token_hex(24), speech=own)
    assert not stranger["cache_hit"], "kept videos are private"


@pytest.mark.skipif(not isolates(), reason="the root folder of another host cannot be shown here")
def test_persistent_storage_outlives_the_host(host: SpaceHost) -> None:
    host.storage = host.folder / "storage"
    host.start()
    visitor, own = secrets.token_hex(24), "speech_16s.wav"
    make(host, visitor, speech=own)
    assert host.stop() == 0
    assert (host.storage / "talking-head").is_dir()
    assert not list(host.home.rglob("jobs.sqlite*")), "what is to be kept is not in the home"
    for path in sorted(host.home.rglob("*"), reverse=True):  # the host is a new one
        path.rmdir() if path.is_dir() else path.unlink()
    host.start()
    _, again = make(host, visitor, speech=own)
    assert again["cache_hit"]


def test_where_ffmpeg_is_there_it_is_not_needed(host: SpaceHost) -> None:
    folder, told = host.folder / "bin", host.home / "called"
    folder.mkdir()
    for name in ("ffmpeg", "ffprobe"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {told}\nexit 1\n")
        (folder / name).chmod(0o755)
    host.start(PATH=f"{folder}:/usr/bin:/bin")
    make(host, secrets.token_hex(24))
    assert not told.exists()


def test_a_host_that_lends_a_gpu_and_cannot_reach_the_hub(host: SpaceHost) -> None:
    calls = host.home / "calls"
    host.start(FAKE_SPACES_LOG=str(calls), **HUB_IS_AWAY)
    assert "ditto is not offered" in host.log.read_text()
    assert "127.0.0.1:9" in host.log.read_text() or "cannot be reached" in host.log.read_text()
    _, info = make(host, secrets.token_hex(24))
    assert info["engine"] == "lite"
    assert "ditto" in info["engine_reason"]
    assert not calls.exists(), "lite uses no GPU"
    with pytest.raises(Exception, match=r"Hub|ditto"):
        make(host, secrets.token_hex(24), engine="ditto")
    assert host.stop() == 0


def test_a_host_that_lends_a_gpu(host: SpaceHost, tmp_path_factory: pytest.TempPathFactory) -> None:
    """From the page's API to the process of a call and back: with the visitor's token, in pieces, as one video."""
    import json

    from tests.support.synthetic_checkpoints import TINY, write_checkpoints

    folder = host.folder / "checkpoints"
    folder.mkdir()
    write_checkpoints(folder, TINY)
    calls = host.home / "calls"
    program = (str(ROOT / "tests" / "support" / "zero_gpu_app.py"), str(folder))
    host.start(program=program, FAKE_SPACES_LOG=str(calls), TALKING_HEAD_ZERO_GPU_COMPILE_S="0", **HUB_IS_AWAY)
    visitor = secrets.token_hex(24)
    _, info = make(host, visitor, "header.payload.signature", engine="lite")
    assert not calls.exists()
    video, info = make(host, visitor, "header.payload.signature", engine="ditto", sampling_timesteps=2, size=96)
    assert (info["engine"], probe(str(video))[2]) == ("ditto", info["frames"])
    seen = [json.loads(line) for line in calls.read_text().splitlines()]
    assert {call["token"] for call in seen} == {"header.payload.signature"}
    assert host.stop() == 0
    assert "Traceback" not in host.log.read_text()


def test_persistent_storage_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TALKING_HEAD_CACHE_DIR", "DITTO_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("core.settings.PERSISTENT", tmp_path)
    monkeypatch.setattr("manager.folder.PERSISTENT", tmp_path)
    assert load_settings().cache_dir != tmp_path / "talking-head", "it is no Space"
    monkeypatch.setenv("SPACE_ID", "me/talk")
    assert load_settings().cache_dir == tmp_path / "talking-head"
    assert chosen_folder() == (tmp_path / "talking-head" / "ditto_models", False)
    monkeypatch.setattr("core.settings.PERSISTENT", tmp_path / "none")
    assert load_settings().cache_dir.is_relative_to(Path.home())
